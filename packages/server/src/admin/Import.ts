/** JSON lines, as an export wrote them, back into a log. */
import { Effect, Schema, Stream } from "effect"
import { emptyHead, type StreamHead, type StreamKey } from "../domain/Stream.ts"
import { EventLog, type PlacedEvent } from "../ports/EventLog.ts"
import { Signals } from "../ports/Signals.ts"
import { headerProblem, isInOrder, MAX_LINE_BYTES, makeTally, readLine, type Trailer } from "./transfer/Format.ts"
import { makeLines } from "./transfer/Lines.ts"
import { makeWriter, StreamDiverged } from "./transfer/Writer.ts"
import { makeStreamCheck, type StreamCheck } from "./verify/StreamCheck.ts"

export interface ImportReport {
  readonly streams: number
  readonly events: number
  /** Events that the log lacked and has now. */
  readonly written: number
  /** Events that the log had. */
  readonly present: number
  /** Payloads that were gone for no reason when the log was exported. */
  readonly payloadsMissing: number
}

/** A line that is not what an export wrote there. It was not stored, and nothing after it; what came before may be. */
export class LineRefused extends Schema.TaggedError<LineRefused>()("LineRefused", {
  line: Schema.Finite,
  detail: Schema.String
}) {
  override get message(): string {
    return `Line ${this.line}: ${this.detail}`
  }
}

/** The stream whose lines are being read. */
interface Current {
  readonly key: StreamKey
  readonly fold: StreamCheck
  /** Where it ends in the log. */
  readonly held: StreamHead
}

/** Events of the log that are compared with the lines at a time. */
const PAGE = 500

/**
 * Reads an export and stores what the log lacks of it. Every chain value and every payload's hash is checked before the
 * event is stored; events that are there already must be the same. Stopped at any moment, or given twice, it changes
 * nothing that is there, and goes on.
 */
export const importLog = Effect.fn("importLog")(function* <E, R>(
  bytes: Stream.Stream<Uint8Array, E, R>,
  onProgress?: (bytes: number) => void
) {
  const log = yield* EventLog
  const tally = makeTally()
  const lines = makeLines(MAX_LINE_BYTES)
  let [line, size, written, present] = [0, 0, 0, 0]
  const writer = makeWriter({ log, signals: yield* Signals }, (events) => {
    written += events
  })
  let current: Current | undefined
  let known: ReadonlyArray<PlacedEvent> = []
  let trailer: Trailer | undefined
  let problem: string | undefined
  /** The first line without the payload that its event once had. */
  let missing = 0
  const refuse = (detail: string) => new LineRefused({ line, detail })

  const endStream = (): void => {
    if (current === undefined) return
    current.fold.endBefore(0)
    tally.end(current.key, current.fold.head())
  }

  const beginStream = Effect.fnUntraced(function* (key: StreamKey) {
    if (current !== undefined && !isInOrder(current.key, key))
      return yield* refuse("the streams are not in their order")
    endStream()
    const [held = emptyHead] = yield* log.heads([key])
    const first = line
    const fold = makeStreamCheck(key, (version, kind, detail) => {
      if (kind === "payload-missing") {
        tally.miss()
        if (missing === 0) missing = first + version - 1
      } else problem ??= `${key.libraryId}/${key.streamId} version ${version}: ${kind}: ${detail}`
    })
    known = []
    current = { key, fold, held }
    return current
  })

  /** An event that the log has: it must be the same. */
  const compare = Effect.fnUntraced(function* (key: StreamKey, { event }: PlacedEvent) {
    if (known[0] === undefined || event.version > known[known.length - 1]!.event.version) {
      known = yield* log.read(key, { after: event.version - 1, limit: PAGE, payloads: false })
    }
    const there = known[event.version - (known[0]?.event.version ?? 0)]?.event
    if (there?.chain === event.chain) return
    const detail = `another event is in the log than line ${line} has`
    return yield* new StreamDiverged({ ...key, version: event.version, detail })
  })

  const takeEvent = Effect.fnUntraced(function* (key: StreamKey, placed: PlacedEvent) {
    const isSameStream = current?.key.streamId === key.streamId && current.key.libraryId === key.libraryId
    const { fold, held } = isSameStream && current !== undefined ? current : yield* beginStream(key)
    fold.check(placed)
    if (problem !== undefined) return yield* refuse(problem)
    if (placed.event.version > held.version) return yield* writer.add(key, placed)
    yield* compare(key, placed)
    present += 1
  })

  const takeTrailer = Effect.fnUntraced(function* (said: Trailer) {
    endStream()
    const { end } = tally.trailer()
    for (const field of ["streams", "events", "heads"] as const) {
      if (end[field] === said.end[field]) continue
      return yield* refuse(
        `the lines before are not those that were exported (${field}: ${end[field]}, exported: ${said.end[field]})`
      )
    }
    if (end.payloadsMissing > said.end.payloadsMissing) {
      return yield* new LineRefused({ line: missing, detail: "its payload was taken out" })
    }
    yield* writer.flush
    trailer = said
  })

  const takeLine = Effect.fnUntraced(function* (text: string) {
    line += 1
    if (line === 1) {
      const found = headerProblem(text)
      return found === undefined ? undefined : yield* refuse(found)
    }
    if (trailer !== undefined) return yield* refuse("there is more after the last line")
    const read = readLine(text)
    if (read === undefined) return yield* refuse("this is not a line of an export, or not all of it")
    return yield* "end" in read ? takeTrailer(read) : takeEvent(read.key, read.placed)
  })

  yield* Stream.runForEach(
    bytes,
    Effect.fnUntraced(function* (chunk) {
      for (const text of lines.push(chunk)) yield* takeLine(text)
      if (lines.isTooLong()) {
        line += 1
        return yield* refuse(`longer than ${MAX_LINE_BYTES} bytes`)
      }
      size += chunk.length
      onProgress?.(size)
    })
  )
  const rest = lines.rest()
  if (rest !== "") yield* takeLine(rest)
  if (trailer === undefined) {
    line += 1
    return yield* refuse("the export ends here, before its last line: it was cut off")
  }
  const { events, payloadsMissing, streams } = trailer.end
  return { streams, events, written, present, payloadsMissing } satisfies ImportReport
})
