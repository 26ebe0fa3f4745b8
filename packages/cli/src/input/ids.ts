/** Names given on the command line, checked by the rules for names in tokens and URLs. */

import { DocumentId, decodeDocumentId, LibraryId, PublicKey, UserId } from "@sealog/server/ports"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { CliFailure } from "../output/CliFailure.ts"

export const libraryIdOf = (text: string): LibraryId =>
  Option.getOrThrowWith(Schema.decodeOption(LibraryId)(text), () =>
    nameInvalid("library", "1 to 200 printable characters, without a slash, not starting with @")
  )

export const documentIdOf = (text: string): DocumentId =>
  Option.getOrThrowWith(Option.fromUndefinedOr(possibleDocumentId(text)), () =>
    nameInvalid("document", "1 to 200 characters without ?, #, \\ and control characters, not starting with / or @")
  )

/** undefined: no document has such an id. */
export const possibleDocumentId = (text: string): DocumentId | undefined =>
  Option.getOrUndefined(Schema.decodeOption(DocumentId)(decodeDocumentId(text)))

export const userIdOf = (text: string): UserId =>
  Option.getOrThrowWith(Schema.decodeOption(UserId)(text), () =>
    nameInvalid("user", "1 to 200 characters, without control characters")
  )

export const publicKeyOf = (text: string): PublicKey =>
  Option.getOrThrowWith(Schema.decodeOption(PublicKey)(text), () =>
    nameInvalid("signing key", "43 characters: the 32 bytes of an Ed25519 public key in URL-safe base64")
  )

export const nameInvalid = (noun: string, rule: string): CliFailure =>
  new CliFailure({
    code: "NAME_INVALID",
    message: `This is not a valid name of a ${noun}.`,
    exitCode: 2,
    tryThis: `a name of ${rule}`
  })
