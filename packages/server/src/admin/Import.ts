/** Imports a log from the JSON lines that an export wrote. */
import { Clock, Effect, Schema, Stream } from "effect"
import { isAdministration, serverAdministration } from "../domain/Administration.ts"
import { emptyHead, type StreamEvent, type StreamHead, type StreamKey } from "../domain/Stream.ts"
import { EventLog, type PlacedEvent, type StorageUnavailable } from "../ports/EventLog.ts"
import { Signals } from "../ports/Signals.ts"
import { rulesOf } from "./Replay.ts"
import { headerProblem, isInOrder, MAX_LINE_BYTES, makeTally, readLine, type Trailer } from "./transfer/Format.ts"
import { makeLines } from "./transfer/Lines.ts"
import { makeWriter, StreamDiverged } from "./transfer/Writer.ts"
import { makePendingFindings } from "./verify/PendingFindings.ts"
import type { Problem } from "./verify/Problems.ts"
import type { Report } from "./verify/Report.ts"
import { makeSignatureQueue } from "./verify/SignatureQueue.ts"
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
  /** Events of the server's own streams, which are left out unless `withAccess` is set. */
  readonly leftOut: number
}

export interface ImportOptions {
  /** Called after each piece of the input, with the bytes that were read. */
  readonly onProgress?: (bytes: number) => void
  /**
   * Takes the server's own streams, too: the tokens that are revoked on the whole server, and its webhooks. They hold for every
   * library of the log, also for those that the export does not have. Default: false.
   */
  readonly withAccess?: boolean
  /** Judges each event by the rules that accepted it, and verifies its signature, as `replay` does. Default: true. */
  readonly verify?: boolean
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

/** An event that is checked, and waits for its signature. */
interface Taken {
  readonly key: StreamKey
  readonly placed: PlacedEvent
  readonly line: number
  readonly held: StreamHead
}

/** Stored events that are read at a time, to compare them with the lines. */
const PAGE = 500
/** Events and bytes of payloads whose signatures are verified at a time. */
const [TAKEN_EVENTS, TAKEN_BYTES] = [500, 4 * 1024 * 1024] as const
/** How far a clock may be ahead that recorded a revocation, milliseconds. */
const MAX_AHEAD = 24 * 60 * 60 * 1000

/**
 * Reads an export, stores the events that the log lacks, and returns a report. Before it stores an event, it checks the chain
 * value and the payload's hash, and judges the event by the rules. An event that the log already has must be the same (else
 * `StreamDiverged`). An interrupted import resumes when it is called again; importing the same export twice changes nothing.
 */
export const importLog = Effect.fn("importLog")(function* <E, R>(
  bytes: Stream.Stream<Uint8Array, E, R>,
  options: ImportOptions = {}
) {
  const { onProgress, verify = true, withAccess = false } = options
  const log = yield* EventLog
  const tally = makeTally()
  const lines = makeLines(MAX_LINE_BYTES)
  const findings = makePendingFindings()
  const signatures = yield* makeSignatureQueue<LineRefused | StreamDiverged | StorageUnavailable>()
  const latest = (yield* Clock.currentTimeMillis) + MAX_AHEAD
  let [line, size, written, present, leftOut] = [0, 0, 0, 0, 0]
  const writer = makeWriter({ log, signals: yield* Signals }, (events) => {
    written += events
  })
  let current: Current | undefined
  let taken: Array<Taken> = []
  let takenBytes = 0
  let known: { readonly key: StreamKey; readonly events: ReadonlyArray<PlacedEvent> } | undefined
  let trailer: Trailer | undefined
  /** A line is certainly refused, whatever its signature. */
  let isRefused = false
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
    const find = findings.reportOf(key)
    const report: Report = (version, kind, detail, unless) => {
      if (kind === "payload-missing") {
        tally.miss()
        if (missing === 0) missing = first + version - 1
        return
      }
      isRefused ||= unless === undefined
      find(version, kind, detail, unless)
    }
    const check = makeStreamCheck(key, report, verify ? { rules: rulesOf(key, report).rules } : {})
    current = { key, check, held }
    return current
  })

  /** Fails unless the log holds the same event. */
  const compare = Effect.fnUntraced(function* ({ key, line, placed: { event } }: Taken) {
    if (known?.key !== key || event.version > (known.events.at(-1)?.event.version ?? 0)) {
      known = { key, events: yield* log.read(key, { after: event.version - 1, limit: PAGE, payloads: false }) }
    }
    const stored = known.events[event.version - (known.events[0]?.event.version ?? 0)]?.event
    if (stored?.chain === event.chain) return
    const detail = `another event is in the log than line ${line} has`
    return yield* new StreamDiverged({ ...key, version: event.version, detail })
  })

  const store = Effect.fnUntraced(function* (all: ReadonlyArray<Taken>) {
    for (const each of all) {
      const { held, key, placed } = each
      if (key.libraryId === serverAdministration.libraryId && !withAccess) {
        leftOut += 1
      } else if (placed.event.version > held.version) {
        yield* writer.add(key, placed)
      } else {
        yield* compare(each)
        present += 1
      }
    }
  })

  /** Fails at the first problem, with the line of its event. */
  const requireSound = ([problem]: ReadonlyArray<Problem>, all: ReadonlyArray<Taken>) => {
    if (problem === undefined) return Effect.void
    const { libraryId, streamId, version } = problem
    const isOf = ({ key, placed }: Taken) =>
      placed.event.version === version && key.streamId === streamId && key.libraryId === libraryId
    const detail = `${libraryId}/${streamId} version ${version}: ${problem.problem}: ${problem.detail}`
    return Effect.fail(new LineRefused({ line: all.find(isOf)?.line ?? line, detail }))
  }

  /** Stores the events that wait, once their signatures are verified. */
  const settle = Effect.suspend(() => {
    const all = taken
    taken = []
    takenBytes = 0
    return signatures.submit(findings.take(), (problems) =>
      Effect.andThen(
        requireSound(problems, all),
        Effect.suspend(() => store(all))
      )
    )
  })

  const takeEvent = Effect.fnUntraced(function* (key: StreamKey, placed: PlacedEvent) {
    const isSameStream = current?.key.streamId === key.streamId && current.key.libraryId === key.libraryId
    const { check, held, key: of } = isSameStream && current !== undefined ? current : yield* beginStream(key)
    check.next(placed)
    if (isAdministration(key) && revokesFuture(placed.event, latest))
      return yield* refuse("the event revokes tokens that are issued in the future, and would lock everybody out")
    taken.push({ key: of, placed, line, held })
    takenBytes += placed.payload?.length ?? 0
    if (isRefused || taken.length >= TAKEN_EVENTS || takenBytes >= TAKEN_BYTES) yield* settle
  })

  const takeTrailer = Effect.fnUntraced(function* (exported: Trailer) {
    yield* settle
    yield* signatures.drain()
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
  return { streams, events, written, present, leftOut, payloadsMissing } satisfies ImportReport
})

/** Whether an administrative event revokes tokens that are issued after this time. */
const revokesFuture = ({ data }: StreamEvent, latest: number): boolean =>
  "before" in data && typeof data.before === "number" && data.before > latest
