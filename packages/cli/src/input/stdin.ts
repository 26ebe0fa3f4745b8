/** The input of a command: a file, or stdin. */
import { open } from "node:fs/promises"
import * as Stream from "effect/Stream"
import { CliFailure } from "../output/CliFailure.ts"
import { errorText } from "../output/errorText.ts"

/** The bytes of a file or of stdin, and the size of the file; undefined for stdin and pipes. */
export const readFrom = async (file: string | undefined) => {
  if (file === undefined)
    return { bytes: Stream.fromAsyncIterable<Uint8Array, CliFailure>(process.stdin, unreadable), size: undefined }
  const handle = await open(file).catch((error) => Promise.reject(unreadable(error)))
  const stat = await handle.stat()
  return {
    bytes: Stream.fromAsyncIterable<Uint8Array, CliFailure>(handle.createReadStream(), unreadable),
    size: stat.isFile() ? stat.size : undefined
  }
}

const unreadable = (error: unknown): CliFailure =>
  new CliFailure({
    code: "INPUT_UNREADABLE",
    message: `The input cannot be read: ${errorText(error)}`,
    exitCode: 2,
    tryThis: "use --input with a file that exists and that this user can read"
  })
