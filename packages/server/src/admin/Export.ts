/** Exports a log, or one library of it, as JSON lines. `transfer/Format.ts` has the format. */
import { Effect } from "effect"
import type { LibraryId } from "../domain/Ids.ts"
import { isLogEpoch } from "../domain/LogEpoch.ts"
import type { StreamKey } from "../domain/Stream.ts"
import type { PlacedEvent } from "../ports/EventLog.ts"
import { Signatures } from "../signatures/Signatures.ts"
import { eachStream } from "./Inspect.ts"
import { eventLine, headerLine, MAX_LINE_BYTES, makeTally, trailerLine } from "./transfer/Format.ts"
import { makeProblems, type Problem, type Problems, StreamDamaged } from "./verify/Problems.ts"
import { countEvents, filterOf, NoSuchStream } from "./verify/Scope.ts"
import { eachVerifiedPage } from "./verify/VerifiedPages.ts"

export interface ExportOptions {
  readonly libraryId?: LibraryId
  /** Called after every page. The total is counted when the export starts. */
  readonly onProgress?: (events: number, total: number) => void
}

/** The problems are payloads that are missing although no eviction or pruning deleted them. Their events are exported. */
export interface ExportReport extends Problems {
  readonly streams: number
  readonly events: number
  readonly payloads: number
  readonly payloadBytes: number
}

/** Characters per write; a longer line is written at once. */
const CHUNK = 256 * 1024

/**
 * Writes the log in chunks, one after the other, and returns a report. Servers may keep writing to the log. Checks versions,
 * chain values and payload hashes; fails at the first stream that is damaged (`StreamDamaged`).
 */
export const exportLog = Effect.fn("exportLog")(function* <E, R>(
  write: (text: string) => Effect.Effect<void, E, R>,
  { libraryId, onProgress }: ExportOptions = {}
) {
  const scope = libraryId === undefined ? {} : { libraryId }
  const total = yield* countEvents(scope, undefined)
  if (libraryId !== undefined && total === 0) return yield* new NoSuchStream({ libraryId, streamId: undefined })
  const problems = makeProblems()
  const tally = makeTally()
  let [events, payloads, payloadBytes] = [0, 0, 0]
  let text = headerLine()
  const flush = Effect.suspend(() => {
    const chunk = text
    text = ""
    return write(chunk)
  })

  const exportEvent = (key: StreamKey, placed: PlacedEvent): Effect.Effect<void, E | StreamDamaged, R> => {
    const line = eventLine(key, placed)
    if (line.length > MAX_LINE_BYTES) {
      const detail = "the payload is too large for a line of an export, so it could not be imported"
      return new StreamDamaged({ ...key, version: placed.event.version, problem: "payload-too-large", detail })
    }
    text += line
    events += 1
    payloads += placed.payload === null ? 0 : 1
    payloadBytes += placed.payload?.length ?? 0
    return text.length >= CHUNK ? flush : Effect.void
  }

  yield* eachStream(
    filterOf(scope),
    Effect.fnUntraced(function* (stream) {
      const { key } = stream
      // An import makes a log of its own.
      if (isLogEpoch(key)) return
      const onMissing = (problem: Problem): void => {
        tally.miss()
        problems.add(problem)
      }
      const head = yield* eachVerifiedPage(stream, { onMissing }, (page) =>
        Effect.andThen(
          Effect.forEach(page, (placed) => exportEvent(key, placed), { discard: true }),
          Effect.sync(() => onProgress?.(events, total))
        )
      )
      tally.end(key, head)
    })
  )
  const trailer = tally.trailer()
  text += trailerLine(trailer)
  yield* flush
  const { streams } = trailer.end
  return { streams, events, payloads, payloadBytes, ...problems.found() } satisfies ExportReport
}, Effect.provide(Signatures.layerInline))
