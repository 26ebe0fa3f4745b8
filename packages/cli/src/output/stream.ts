/** Where a command writes more than it could hold: piece by piece, each when the one before was taken. */
import { createWriteStream, statSync } from "node:fs"
import { rename, rm } from "node:fs/promises"
import type { Writable } from "node:stream"
import { finished } from "node:stream/promises"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Schema from "effect/Schema"

/** What is written does not arrive. */
export class OutputClosed extends Schema.TaggedError<OutputClosed>()("OutputClosed", {
  /** A reader went away, as `head` does when it has seen enough. */
  byReader: Schema.Boolean,
  reason: Schema.String
}) {}

export type Write = (text: string) => Effect.Effect<void, OutputClosed>

/** Done when the stream has taken the text. */
export const writeTo =
  (stream: Writable): Write =>
  (text) =>
    Effect.callback((resume) => {
      stream.write(text, (error) => resume(error ? Effect.fail(closedBy(error)) : Effect.void))
    })

/**
 * A file that is there, whole and on the disk, when everything was written to it, and until then is what it was. Its
 * owner's alone. What is no regular file, as a pipe, is written to as it is.
 */
export const writeFile = <A, E>(path: string, use: (write: Write) => Effect.Effect<A, E>) =>
  Effect.acquireUseRelease(
    attemptSync(() => {
      const isPlain = statSync(path, { throwIfNoEntry: false })?.isFile() ?? true
      const name = isPlain ? `${path}.part` : path
      const stream = createWriteStream(name, { mode: 0o600, flush: isPlain })
      // What fails is told to whoever writes or waits for the end.
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
  Effect.tryPromise({ try: act, catch: (error) => closedBy(error instanceof Error ? error : new Error(String(error))) })

const attemptSync = <A>(act: () => A): Effect.Effect<A, OutputClosed> =>
  Effect.try({ try: act, catch: (error) => closedBy(error instanceof Error ? error : new Error(String(error))) })

const closedBy = (error: Error): OutputClosed => {
  const code = "code" in error ? error.code : undefined
  return new OutputClosed({ byReader: code === "EPIPE" || code === "ERR_STREAM_DESTROYED", reason: error.message })
}

/** How long a reader may take to go away. */
const A_MOMENT = "100 millis"

/**
 * Writes lines. `more`: others may be long in coming; then the end of the last line comes a moment after it, because a
 * reader that has seen enough is noticed only when something is written to it.
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
  yield* Effect.sleep(A_MOMENT)
  yield* write("\n")
})
