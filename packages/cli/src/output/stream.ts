/** Output larger than memory: each write waits until the stream has taken the one before. */
import { createWriteStream, statSync } from "node:fs"
import { rename, rm } from "node:fs/promises"
import type { Writable } from "node:stream"
import { finished } from "node:stream/promises"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Schema from "effect/Schema"
import { errorText } from "./errorText.ts"

/** The output cannot be written any further. */
export class OutputClosed extends Schema.TaggedError<OutputClosed>()("OutputClosed", {
  /** True if the reader closed the pipe, as `head` does. */
  byReader: Schema.Boolean,
  reason: Schema.String
}) {}

export type Write = (text: string) => Effect.Effect<void, OutputClosed>

/** A function that writes text and succeeds when the stream has taken it. */
export const writeTo =
  (stream: Writable): Write =>
  (text) =>
    Effect.callback((resume) => {
      // A stream that failed before says only that it is closed.
      stream.write(text, (error) => resume(error ? Effect.fail(closedBy(stream.errored ?? error)) : Effect.void))
    })

/**
 * Replaces a file atomically: `use` writes to PATH.part, which is flushed and renamed at the end. If `use` fails, the old
 * file stays. Only the owner can read the new file. A target that is no regular file, such as a pipe, is written directly.
 */
export const writeFile = <A, E>(path: string, use: (write: Write) => Effect.Effect<A, E>) =>
  Effect.acquireUseRelease(
    attemptSync(() => {
      const isPlain = statSync(path, { throwIfNoEntry: false })?.isFile() ?? true
      const name = isPlain ? `${path}.part` : path
      const stream = createWriteStream(name, { mode: 0o600, flush: isPlain })
      // Without a listener an error would end the process. The writes and `finished` report it.
      stream.on("error", () => {})
      return { stream, name, isPlain }
    }),
    Effect.fnUntraced(function* ({ stream, name, isPlain }) {
      const result = yield* use(writeTo(stream))
      yield* attempt(() => finished(stream.end()))
      if (isPlain) yield* attempt(() => rename(name, path))
      return result
    }),
    ({ stream, name, isPlain }, exit) => {
      if (Exit.isSuccess(exit)) return Effect.void
      stream.destroy()
      return isPlain ? Effect.ignore(attempt(() => rm(name, { force: true }))) : Effect.void
    }
  )

const attempt = (act: () => Promise<void>): Effect.Effect<void, OutputClosed> =>
  Effect.tryPromise({
    try: act,
    catch: (error) => closedBy(error instanceof Error ? error : new Error(errorText(error)))
  })

const attemptSync = <A>(act: () => A): Effect.Effect<A, OutputClosed> =>
  Effect.try({ try: act, catch: (error) => closedBy(error instanceof Error ? error : new Error(errorText(error))) })

const closedBy = (error: Error): OutputClosed => {
  const code = "code" in error ? error.code : undefined
  return new OutputClosed({ byReader: code === "EPIPE" || code === "ERR_STREAM_DESTROYED", reason: error.message })
}

/** How long a reader takes, at most, to close its pipe. */
const CLOSING_TIME = "100 millis"

/**
 * Writes lines. `more` says that further lines may take long. The newline after the last line is then written a moment
 * later: a closed pipe shows only on a write, and without this one the command would run on without a reader.
 */
export const writeLines = Effect.fnUntraced(function* (
  stream: Writable & { readonly isTTY?: boolean },
  lines: ReadonlyArray<string>,
  more: boolean
) {
  if (lines.length === 0) return
  const write = writeTo(stream)
  if (!more || stream.isTTY === true) return yield* write(`${lines.join("\n")}\n`)
  yield* write(lines.join("\n"))
  yield* Effect.sleep(CLOSING_TIME)
  yield* write("\n")
})
