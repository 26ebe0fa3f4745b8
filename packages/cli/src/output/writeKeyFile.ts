import { writeFileSync } from "node:fs"
import { CliFailure } from "./CliFailure.ts"
import { errorText } from "./errorText.ts"

/** Writes a private key into a new file that its owner alone can read. Fails with `KEY_FILE_EXISTS` or `KEY_FILE_NOT_WRITTEN`. */
export const writeKeyFile = (file: string, text: string, loss: string): void => {
  try {
    writeFileSync(file, `${text}\n`, { mode: 0o600, flag: "wx" })
  } catch (error) {
    const exists = error instanceof Error && "code" in error && error.code === "EEXIST"
    throw new CliFailure({
      code: exists ? "KEY_FILE_EXISTS" : "KEY_FILE_NOT_WRITTEN",
      message: exists ? `${file} exists, and was not changed.` : `The private key was not written: ${errorText(error)}`,
      exitCode: exists ? 1 : 2,
      tryThis: exists ? `another file; ${loss}` : "a folder that this user can write to"
    })
  }
}
