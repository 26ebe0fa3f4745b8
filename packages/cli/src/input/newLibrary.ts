/** Flags of commands that may write to a library, or close a document, before its first client comes. */
import * as Flags from "@oclif/core/flags"

export const newLibraryFlag = {
  "new-library": Flags.boolean({
    description: "the library need not exist yet (default: a name that the log does not hold is refused, as a typo)",
    default: false
  })
}

export const newDocumentFlag = {
  "new-document": Flags.boolean({
    description:
      "the document need not exist yet (default: a name that the library does not hold is refused, as a typo)",
    default: false
  })
}
