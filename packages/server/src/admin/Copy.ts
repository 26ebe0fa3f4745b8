/**
 * The log, or a part of it, copied into another one: the same events, and so the same chain value at the end of every
 * stream.
 */
import { Context, Effect } from "effect"
import { emptyHead, type StreamHead, type StreamKey } from "../domain/Stream.ts"
import { EventLog, StorageUnavailable, type StreamSummary } from "../ports/EventLog.ts"
import { Signals } from "../ports/Signals.ts"
import { type ReplayOptions, type ReplayReport, rulesOf } from "./Replay.ts"
import { makeWriter, StreamDiverged, type Target } from "./transfer/Writer.ts"
import { makeProblems, StreamDamaged } from "./verify/Problems.ts"
import { eachVerifiedPage } from "./verify/readVerified.ts"
import { countEvents, filterOf } from "./verify/Scope.ts"
import { isPast, type Until } from "./verify/StreamPages.ts"

export interface CopyOptions extends ReplayOptions {
  /**
   * Check all that a replay does, from every stream's first event on. Default: only what the target lacks is read, and of
   * it versions, chain values and the hashes of payloads are checked.
   */
  readonly verify?: boolean
}

/** `events` and `payloads` are those that were read; the problems are payloads that were lost, or deleted after `until`. */
export interface CopyReport extends ReplayReport {
  /** Events that the target lacked and has now. */
  readonly written: number
  /** Events that the target had before. */
  readonly present: number
}

/** Streams whose ends are compared at a time. */
const PAGE = 200

/**
 * Copies what the target lacks. Stopped at any moment, it goes on from there when it is called again. Servers may go on
 * writing to the source; nobody else should write to the target. Ends with every stream at the same version, generation
 * and chain value in both logs; fails at the first stream that is damaged in the source or another in the target.
 */
export const copy = Effect.fn("copy")(function* (to: Context.Context<EventLog | Signals>, options: CopyOptions = {}) {
  const source = yield* EventLog
  const target: Target = { log: named(Context.get(to, EventLog)), signals: Context.get(to, Signals) }
  const { onProgress, until, verify = false } = options
  const problems = makeProblems()
  let total = yield* countEvents(options, until)
  let [streams, events, payloads, written, present] = [0, 0, 0, 0, 0]
  const writer = makeWriter(target, (count) => {
    written += count
  })

  /** Where the stream ends as far as it was copied. */
  const copyStream = Effect.fnUntraced(function* (stream: StreamSummary, held: StreamHead) {
    const { key } = stream
    yield* requireBeginning(target.log, key, held, until)
    present += held.version
    if (!verify) total -= held.version
    const end = yield* eachVerifiedPage(
      stream,
      {
        from: verify ? emptyHead : held,
        until,
        rules: verify ? (report) => rulesOf(key, report).rules : undefined,
        onMissing: problems.add
      },
      Effect.fnUntraced(function* (page) {
        for (const placed of page) {
          if (placed.payload !== null) payloads += 1
          if (placed.event.version > held.version) yield* writer.add(key, placed)
        }
        events += page.length
        onProgress?.(events, total)
      })
    )
    if (end.version > 0) streams += 1
    return end
  })

  let after: StreamKey | undefined
  while (true) {
    const page = yield* source.streams({ limit: PAGE, ...filterOf(options), ...(after && { after }) })
    const keys = page.map(({ key }) => key)
    const held = yield* target.log.heads(keys)
    const ends = yield* Effect.forEach(page, (stream, i) => copyStream(stream, held[i] ?? emptyHead))
    yield* writer.flush
    yield* requireEnds(target.log, keys, ends)
    after = keys.at(-1)
    if (page.length < PAGE) break
  }
  return { streams, events, payloads, written, present, ...problems.found() } satisfies CopyReport
})

/** What the target holds of a stream must be how the stream begins in the source. */
const requireBeginning = Effect.fnUntraced(function* (
  target: EventLog["Service"],
  key: StreamKey,
  held: StreamHead,
  until: Until | undefined
) {
  if (held.version === 0) return
  const source = yield* EventLog
  const eventAt = (log: EventLog["Service"], version: number) =>
    Effect.map(log.read(key, { after: version - 1, limit: 1, payloads: false }), ([placed]) => placed?.event)
  const last = yield* eventAt(source, held.version)
  if (last?.chain === held.chain) {
    if (!isPast(until, last)) return
    const detail = `the target goes on to version ${held.version}, which is later than what was asked for`
    return yield* new StreamDiverged({ ...key, version: held.version, detail })
  }
  // Chain values are the same up to some version, and after it never again.
  let [same, other] = [0, held.version]
  while (other - same > 1) {
    const middle = Math.floor((same + other) / 2)
    const [here, there] = [yield* eventAt(source, middle), yield* eventAt(target, middle)]
    if (here !== undefined && here.chain === there?.chain) same = middle
    else other = middle
  }
  const isLonger = (yield* eventAt(source, other)) === undefined
  const detail = isLonger ? "the target goes on where the source ends" : "another event is in the target"
  return yield* new StreamDiverged({ ...key, version: other, detail })
})

/** Every stream must end in both logs where the copy of it ended, unless the source has gone on. */
const requireEnds = Effect.fnUntraced(function* (
  target: EventLog["Service"],
  keys: ReadonlyArray<StreamKey>,
  ends: ReadonlyArray<StreamHead>
) {
  const [here, there] = [yield* (yield* EventLog).heads(keys), yield* target.heads(keys)]
  for (const [i, key] of keys.entries()) {
    const [end, inSource, inTarget] = [ends[i]!, here[i]!, there[i]!]
    if (!isSame(inTarget, end)) {
      const detail = `the copy ends at ${describe(end)}, the target at ${describe(inTarget)}`
      return yield* new StreamDiverged({ ...key, version: end.version, detail })
    }
    if (inSource.version <= end.version && !isSame(inSource, end)) {
      const detail = `its events end at ${describe(end)}, the stream at ${describe(inSource)}`
      return yield* new StreamDamaged({ ...key, version: end.version, problem: "wrong-head", detail })
    }
  }
})

const isSame = (a: StreamHead, b: StreamHead): boolean =>
  a.version === b.version && a.generation === b.generation && a.chain === b.chain

const describe = ({ version, generation, chain }: StreamHead): string =>
  `version ${version}, generation ${generation}, chain ${chain}`

/** The same log, whose errors say which of the two it is. */
const named = (log: EventLog["Service"]): EventLog["Service"] => {
  const rename = ({ operation, cause }: StorageUnavailable) =>
    new StorageUnavailable({ operation: `${operation} (in the database that is copied to)`, cause })
  return {
    ...log,
    append: (batch) => Effect.mapError(log.append(batch), rename),
    heads: (keys) => Effect.mapError(log.heads(keys), rename),
    read: (key, options) => Effect.mapError(log.read(key, options), rename)
  }
}
