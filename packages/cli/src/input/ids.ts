/** Names given on the command line, checked as those in tokens and URLs are. */

import { ReplicaId, rootOid } from "@sealog/server/admin"
import { DocumentId, LibraryId } from "@sealog/server/ports"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { CliFailure } from "../output/CliFailure.ts"

const invalid = (what: string, rule: string): CliFailure =>
  new CliFailure({ code: "NAME_INVALID", message: `That cannot be the name of a ${what}.`, exitCode: 2, tryThis: rule })

export const libraryIdOf = (text: string): LibraryId =>
  Option.getOrThrowWith(Schema.decodeOption(LibraryId)(text), () =>
    invalid("library", "1 to 200 printable characters, no slash, not beginning with @")
  )

export const documentIdOf = (text: string): DocumentId =>
  Option.getOrThrowWith(Schema.decodeOption(DocumentId)(text), () =>
    invalid("document", "1 to 128 letters, digits and . _ ~ : -, beginning with a letter, digit, _ or -")
  )

export const replicaIdOf = (text: string): ReplicaId =>
  Option.getOrThrowWith(Schema.decodeOption(ReplicaId)(text), () =>
    invalid("replica", "1 to 64 letters, digits, _ and -, as `sync-admin replica list` shows it")
  )

export interface VerdantName {
  readonly collection: string
  readonly id: string
}

/** COLLECTION/ID; undefined without a slash, which no Secsync document has in its name. */
export const verdantNameOf = (text: string): VerdantName | undefined => {
  const slash = text.indexOf("/")
  if (slash === -1) return undefined
  const [collection, id] = [text.slice(0, slash), text.slice(slash + 1)]
  if (rootOid(collection, id) !== undefined) return { collection, id }
  throw invalid("Verdant document", "COLLECTION/ID, such as item/42")
}
