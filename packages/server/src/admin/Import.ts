/** Imports a log from the JSON lines that an export wrote. */
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
  /** Events that the log lacked before. */
  readonly written: number
  /** Events that the log already had. */
  readonly present: number
  /** Payloads that were already missing when the log was exported. */
  readonly payloadsMissing: number
}

/** A line is not as an export wrote it. The lines before it may be stored; this line and the ones after it are not. */
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
  readonly check: StreamCheck
  /** Where the stream ends in the log. */
  readonly held: StreamHead
}

/** Stored events that are read at a time, to compare them with the lines. */
const PAGE = 500

/**
 * Reads an export, stores the events that the log lacks, and returns a report. Checks every chain value and payload hash
 * before it stores an event. An event that the log already has must be the same (else `StreamDiverged`). An interrupted
 * import resumes when it is called again; importing the same export twice changes nothing.
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
  /** The first line whose payload is missing; 0: none is. */
  let missing = 0
  const refuse = (detail: string) => new LineRefused({ line, detail })

  const endStream = (): void => {
    if (current === undefined) return
    current.check.endBefore(0)
    tally.end(current.key, current.check.head())
  }

  const beginStream = Effect.fnUntraced(function* (key: StreamKey) {
    if (current !== undefined && !isInOrder(current.key, key))
      return yield* refuse("the streams are not in the order of an export: lines were moved")
    endStream()
    const [held = emptyHead] = yield* log.heads([key])
    const first = line
    const check = makeStreamCheck(key, (version, kind, detail) => {
      if (kind === "payload-missing") {
        tally.miss()
        if (missing === 0) missing = first + version - 1
      } else problem ??= `${key.libraryId}/${key.streamId} version ${version}: ${kind}: ${detail}`
    })
    known = []
    current = { key, check, held }
    return current
  })

  /** Fails unless the log holds the same event. */
  const compare = Effect.fnUntraced(function* (key: StreamKey, { event }: PlacedEvent) {
    if (known[0] === undefined || event.version > known[known.length - 1]!.event.version) {
      known = yield* log.read(key, { after: event.version - 1, limit: PAGE, payloads: false })
    }
    const stored = known[event.version - (known[0]?.event.version ?? 0)]?.event
    if (stored?.chain === event.chain) return
    const detail = `another event is in the log than line ${line} has`
    return yield* new StreamDiverged({ ...key, version: event.version, detail })
  })

  const takeEvent = Effect.fnUntraced(function* (key: StreamKey, placed: PlacedEvent) {
    const isSameStream = current?.key.streamId === key.streamId && current.key.libraryId === key.libraryId
    const { check, held } = isSameStream && current !== undefined ? current : yield* beginStream(key)
    check.next(placed)
    if (problem !== undefined) return yield* refuse(problem)
    if (placed.event.version > held.version) return yield* writer.add(key, placed)
    yield* compare(key, placed)
    present += 1
  })

  const takeTrailer = Effect.fnUntraced(function* (exported: Trailer) {
    endStream()
    const { end } = tally.trailer()
    for (const field of ["streams", "events", "heads"] as const) {
      if (end[field] === exported.end[field]) continue
      return yield* refuse(
        `the lines before this one are not all that was exported (${field}: ${end[field]} here, ${exported.end[field]} exported)`
      )
    }
    if (end.payloadsMissing > exported.end.payloadsMissing) {
      return yield* new LineRefused({ line: missing, detail: "the payload was removed after the export" })
    }
    yield* writer.flush
    trailer = exported
  })

  const takeLine = Effect.fnUntraced(function* (text: string) {
    line += 1
    if (line === 1) {
      const found = headerProblem(text)
      return found === undefined ? undefined : yield* refuse(found)
    }
    if (trailer !== undefined) return yield* refuse("the export ended with the line before")
    const read = readLine(text)
    if (read === undefined) return yield* refuse("not a line of an export, or only a part of one")
    return yield* "end" in read ? takeTrailer(read) : takeEvent(read.key, read.placed)
  })

  yield* Stream.runForEach(
    bytes,
    Effect.fnUntraced(function* (chunk) {
      for (const text of lines.push(chunk)) yield* takeLine(text)
      if (lines.isTooLong()) {
        line += 1
        return yield* refuse(`the line is longer than ${MAX_LINE_BYTES} bytes, so no export wrote it`)
      }
      size += chunk.length
      onProgress?.(size)
    })
  )
  const rest = lines.rest()
  if (rest !== "") yield* takeLine(rest)
  if (trailer === undefined) {
    line += 1
    return yield* refuse("the input ends here, before the export's last line: it was cut off")
  }
  const { events, payloadsMissing, streams } = trailer.end
  return { streams, events, written, present, payloadsMissing } satisfies ImportReport
})
