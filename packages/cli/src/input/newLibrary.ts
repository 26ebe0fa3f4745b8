/** The flag of commands that may write to a library before its first client does. */
import { Flags } from "@oclif/core"
import type { LibraryId } from "@sealog/server/ports"

export const newLibraryFlag = {
  "new-library": Flags.boolean({
    description: "the library need not exist yet (default: a name that the log does not hold is refused, as a typo)",
    default: false
  })
}

/** The library or libraries that the log must hold; undefined if the operator insists on new ones. */
export const mustExist = <Ids extends LibraryId | ReadonlyArray<LibraryId> | undefined>(
  libraries: Ids,
  flags: { readonly "new-library": boolean }
): Ids | undefined => (flags["new-library"] ? undefined : libraries)
