/** Names given on the command line, checked as those in tokens and URLs are. */
import { DocumentId, LibraryId } from "@sealog/server/domain/Ids"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { CliFailure } from "./CliFailure.ts"

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
