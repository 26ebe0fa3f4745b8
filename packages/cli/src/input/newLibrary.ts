/** The flag of commands that may write to a library before its first client does. */
import { Flags } from "@oclif/core"
import type { LibraryId } from "@sealog/server/ports"

export const newLibraryFlag = {
  "new-library": Flags.boolean({
    description: "the library need not exist yet (default: a name that the log does not hold is refused, as a typo)",
    default: false
  })
}

/** The library that the log must hold; undefined if the operator insists on a new one. */
export const mustExist = <Id extends LibraryId | undefined>(
  libraryId: Id,
  flags: { readonly "new-library": boolean }
): Id | undefined => (flags["new-library"] ? undefined : libraryId)
