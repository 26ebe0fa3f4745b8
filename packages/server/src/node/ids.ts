/** Checks the ids that an app passes as text. */
import { Option, Schema } from "effect"
import { ClaimText, DocumentId, FileId, LibraryId, PublicKey } from "../domain/Ids.ts"
import { ReplicaId } from "../domain/verdant/Events.ts"

const check = <A extends string>(schema: Schema.Codec<A, string>, noun: string) => {
  const decode = Schema.decodeUnknownOption(schema)
  return (text: string): A => {
    const id = Option.getOrUndefined(decode(text))
    if (id === undefined) throw new TypeError(`${JSON.stringify(text)} is not ${noun}`)
    return id
  }
}

export const libraryIdOf = check(
  LibraryId,
  "the id of a library: 1 to 200 printable characters, without spaces and slashes, that do not begin with @"
)
export const documentIdOf = check(DocumentId, "the id of a Secsync document")
export const fileIdOf = check(FileId, "the id of a file: 1 to 128 of A-Z, a-z, 0-9, _ and -")
export const replicaIdOf = check(ReplicaId, "the id of a replica: 1 to 64 of A-Z, a-z, 0-9, _ and -")
export const roleOf = check(ClaimText, "a role: text of at most 200 characters without control characters")
export const publicKeyOf = check(PublicKey, "a public key: 43 characters of base64url")
