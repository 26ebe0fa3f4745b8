/** Copies a log, or a part of it, into another log: the same events, and so the same chain value at every stream's end. */
import { Context, Effect } from "effect"
import { isLogEpoch } from "../domain/LogEpoch.ts"
import { emptyHead, type StreamHead, type StreamKey } from "../domain/Stream.ts"
import { EventLog, type PlacedEvent, StorageUnavailable } from "../ports/EventLog.ts"
import { Signals } from "../ports/Signals.ts"
import { type ReplayOptions, type ReplayReport, rulesOf } from "./Replay.ts"
import { makeWriter, StreamDiverged, type Target } from "./transfer/Writer.ts"
import { makeProblems, StreamDamaged } from "./verify/Problems.ts"
import { countEvents, filterOf } from "./verify/Scope.ts"
import { isPast, type Until } from "./verify/StreamPages.ts"
import { eachVerifiedPage } from "./verify/VerifiedPages.ts"

export interface CopyOptions extends ReplayOptions {
  /**
   * Check everything that a replay checks, from every stream's first event. Default: read only the events that the target
   * lacks, and check their versions, chain values and payload hashes.
   */
  readonly verify?: boolean
}

/** `events` and `payloads` count what was read. The problems are payloads that are missing, or were deleted after `until`. */
export interface CopyReport extends ReplayReport {
  /** Events that the target lacked before. */
  readonly written: number
  /** Events that the target already had. */
  readonly present: number
}

/** Streams whose heads are compared at a time. */
const PAGE = 200

/**
 * Copies the events that the target lacks, and returns a report. An interrupted copy resumes when it is called again.
 * Servers may keep writing to the source; no other process should write to the target.
 *
 * On success, every copied stream has the same version, generation and chain value in both logs. Fails at the first stream
 * that is damaged in the source (`StreamDamaged`) or that differs in the target (`StreamDiverged`).
 */
export const copy = Effect.fn("copy")(function* <E = never, R = never>(
  to: Context.Context<EventLog | Signals>,
  options: CopyIntoOptions<E, R> = {}
) {
  return yield* copyInto({ log: named(Context.get(to, EventLog)), signals: Context.get(to, Signals) }, options)
})

export interface CopyIntoOptions<E, R> extends CopyOptions {
  /** Copy only these streams, instead of all streams in the scope. */
  readonly keys?: ReadonlyArray<StreamKey>
  /** Runs before the events of a page are written to the target. The events are verified. */
  readonly beforePage?: (key: StreamKey, page: ReadonlyArray<PlacedEvent>) => Effect.Effect<void, E, R>
}

/** `copy` into any log: a database, or a backup. */
export const copyInto = Effect.fnUntraced(function* <E = never, R = never>(
  target: Target,
  options: CopyIntoOptions<E, R>
) {
  const source = yield* EventLog
  const { beforePage, keys, onProgress, until, verify = false } = options
  const problems = makeProblems()
  let total = onProgress === undefined ? 0 : yield* countEvents(options, until)
  let [streams, events, payloads, written, present] = [0, 0, 0, 0, 0]
  const writer = makeWriter(target, (count) => {
    written += count
  })

  /** Copies one stream. Returns the head that the copy reached; undefined: the target had all, and there was nothing to check. */
  const copyStream = Effect.fnUntraced(function* (stream: StreamHead & { readonly key: StreamKey }, held: StreamHead) {
    const { key } = stream
    present += held.version
    if (!verify) total -= held.version
    if (!verify && until === undefined && held.version > 0 && isSame(stream, held)) {
      streams += 1
      return undefined
    }
    yield* requirePrefix(target.log, key, held, until)
    const end = yield* eachVerifiedPage(
      stream,
      {
        from: verify ? emptyHead : held,
        until,
        rules: verify ? (report) => rulesOf(key, report).rules : undefined,
        onMissing: problems.add
      },
      Effect.fnUntraced(function* (page) {
        if (beforePage !== undefined) yield* beforePage(key, page)
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

  const copyPage = Effect.fnUntraced(function* (page: ReadonlyArray<StreamHead & { readonly key: StreamKey }>) {
    // The copy is a log of its own.
    const copied = page.filter(({ key }) => !isLogEpoch(key))
    const keys = copied.map(({ key }) => key)
    const held = yield* target.log.heads(keys)
    const ends = yield* Effect.forEach(copied, (stream, i) => copyStream(stream, held[i] ?? emptyHead))
    yield* writer.flush
    const grown = ends.flatMap((end, i) => (end === undefined ? [] : [{ key: keys[i]!, end }]))
    if (grown.length > 0) yield* requireEnds(target.log, grown)
  })

  if (keys === undefined) {
    let after: StreamKey | undefined
    while (true) {
      const page = yield* source.streams({
        limit: PAGE,
        ...filterOf(options),
        ...(after && { after })
      })
      yield* copyPage(page)
      after = page.at(-1)?.key
      if (page.length < PAGE) break
    }
  } else {
    for (let from = 0; from < keys.length; from += PAGE) {
      const named = keys.slice(from, from + PAGE)
      const heads = yield* source.heads(named)
      yield* copyPage(named.map((key, i) => ({ key, ...heads[i]! })).filter(({ version }) => version > 0))
    }
  }
  return { streams, events, payloads, written, present, ...problems.found() } satisfies CopyReport
})

/** Fails unless the target's events are the first events of the source's stream. */
const requirePrefix = Effect.fnUntraced(function* (
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
    const detail = `the target already has events up to version ${held.version}, past the end that was asked for`
    return yield* new StreamDiverged({ ...key, version: held.version, detail })
  }
  // Chain values are equal before the first event that differs, and never after it: find that event by bisection.
  let [same, other] = [0, held.version]
  while (other - same > 1) {
    const middle = Math.floor((same + other) / 2)
    const [here, there] = [yield* eventAt(source, middle), yield* eventAt(target, middle)]
    if (here !== undefined && here.chain === there?.chain) same = middle
    else other = middle
  }
  const isLonger = (yield* eventAt(source, other)) === undefined
  const detail = isLonger
    ? "the target goes on where the source ends"
    : "the target holds another event at this version"
  return yield* new StreamDiverged({ ...key, version: other, detail })
})

/** Fails unless each stream ends in both logs where its copy ended. In the source it may have grown since. */
const requireEnds = Effect.fnUntraced(function* (
  target: EventLog["Service"],
  copied: ReadonlyArray<{ readonly key: StreamKey; readonly end: StreamHead }>
) {
  const keys = copied.map(({ key }) => key)
  const [here, there] = [yield* (yield* EventLog).heads(keys), yield* target.heads(keys)]
  for (const [i, { end, key }] of copied.entries()) {
    const [inSource, inTarget] = [here[i]!, there[i]!]
    if (!isSame(inTarget, end)) {
      const detail = `the copy ends at ${describe(end)}, the target at ${describe(inTarget)}`
      return yield* new StreamDiverged({ ...key, version: end.version, detail })
    }
    if (inSource.version <= end.version && !isSame(inSource, end)) {
      const detail = `its events end at ${describe(end)}, but the storage says that the stream ends at ${describe(inSource)}`
      return yield* new StreamDamaged({ ...key, version: end.version, problem: "wrong-head", detail })
    }
  }
})

const isSame = (a: StreamHead, b: StreamHead): boolean =>
  a.version === b.version && a.generation === b.generation && a.chain === b.chain

const describe = ({ version, generation, chain }: StreamHead): string =>
  `version ${version}, generation ${generation}, chain ${chain}`

/** The target's log, with errors that tell it apart from the source. */
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
