/** The flag of commands that may write to a library before its first client does. */
import * as Flags from "@oclif/core/flags"

export const newLibraryFlag = {
  "new-library": Flags.boolean({
    description: "the library need not exist yet (default: a name that the log does not hold is refused, as a typo)",
    default: false
  })
}
