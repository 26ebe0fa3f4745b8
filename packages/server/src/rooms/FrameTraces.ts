/**
 * Traces of frames that are stored: a sampled event becomes a span, with a child for each stage of its frame
 * (docs/decisions/0067-traces-from-the-chain.md). The ids of the trace and of its first span are parts of the event's chain
 * value, and so is the choice whether it is sampled. So every process that fans the event out adds to the same trace, and
 * nothing travels beside the event.
 */
import { Clock, Context, Effect, Exit, Layer, Option, Tracer } from "effect"
import type { StreamEvent, StreamKey } from "../domain/Stream.ts"
import { TokenBucket } from "../internal/TokenBucket.ts"

export interface TraceOptions {
  /**
   * The part of the stored events whose frames are traced, from 0 to 1. Every process of one log needs the same. At most 100 a
   * second are traced in a process, and 1,000 at once. Default: 0, and the hot path pays for one comparison.
   */
  readonly sampleRatio?: number
}

/** Events of one process that become spans. More would fill the memory while the collector is slow. */
const LIMITS = { perSecond: 100, burst: 1000 }

/** The times of the frames that arrived together, by the clock of the traces. */
export interface Arrival {
  readonly receivedAt: number
  /** undefined: there are no signatures. */
  readonly verifiedAt?: number
}

/** The times of a frame whose event this process stored, by the clock of the traces. */
export interface StoredFrame {
  readonly arrival: Arrival | undefined
  /** The room took the command. */
  readonly takenAt: number
  readonly decidedAt: number
  /** The transaction began. */
  readonly committingAt: number
  readonly durableAt: number
  readonly sessions: number
}

export interface FrameTraces {
  /** Whether anything is traced. Callers look at it first. */
  readonly isOn: boolean
  /** Milliseconds of a monotonic clock. */
  readonly now: () => number
  /** Whether the frame of this event is traced. */
  readonly samples: (event: StreamEvent) => boolean
  /** Call when the event was handed to the sessions of the process that stored it. */
  readonly stored: (key: StreamKey, event: StreamEvent, frame: StoredFrame) => void
  /** Call when an event that another process stored was handed to the sessions of this one. `since`: its room began to read. */
  readonly heard: (key: StreamKey, event: StreamEvent, since: number, sessions: number) => void
}

/** The tracer that receives the spans of frames, and no others. Default: `Tracer.Tracer`, which receives all spans of Effect. */
export const FrameTracer = Context.Reference<Tracer.Tracer | undefined>("@sealog/server/FrameTracer", {
  defaultValue: () => undefined
})

const nothing = (): void => {}
const off: FrameTraces = { isOn: false, now: () => 0, samples: () => false, stored: nothing, heard: nothing }

/** Default: nothing is traced. */
export const CurrentFrameTraces = Context.Reference<FrameTraces>("@sealog/server/FrameTraces", {
  defaultValue: () => off
})

export const layerFrameTraces = ({ sampleRatio = 0 }: TraceOptions = {}): Layer.Layer<never> =>
  sampleRatio > 0 ? Layer.effect(CurrentFrameTraces, makeFrameTraces(sampleRatio)) : Layer.empty

const makeFrameTraces = Effect.fnUntraced(function* (ratio: number) {
  const tracer = (yield* FrameTracer) ?? (yield* Tracer.Tracer)
  const clock = yield* Clock.Clock
  const now = () => performance.now()
  const bucket = new TokenBucket(LIMITS, clock.currentTimeMillisUnsafe())

  const samples = ({ chain }: StreamEvent): boolean =>
    (ratio >= 1 || fractionOf(chain) < ratio) && bucket.take(clock.currentTimeMillisUnsafe())

  /** Converts a time of the monotonic clock to nanoseconds since 1970. */
  const toWallClock = () => {
    const offset = clock.currentTimeMillisUnsafe() - now()
    return (millis: number): bigint => BigInt(Math.round((offset + millis) * 1e6))
  }

  const span = (name: string, parent: Tracer.AnySpan | undefined, startTime: bigint): Tracer.Span =>
    tracer.span({
      name,
      parent: Option.fromUndefinedOr(parent),
      annotations: Context.empty(),
      links: [],
      startTime,
      kind: parent === undefined ? "server" : "internal",
      root: parent === undefined,
      sampled: true
    })

  const describe = (span: Tracer.Span, key: StreamKey, { type, version }: StreamEvent): void => {
    span.attribute("sealog.library", key.libraryId)
    span.attribute("sealog.stream", key.streamId)
    span.attribute("sealog.version", version)
    span.attribute("sealog.type", type)
  }

  const stored = (key: StreamKey, event: StreamEvent, frame: StoredFrame): void => {
    const { arrival, committingAt, decidedAt, durableAt, sessions, takenAt } = frame
    const [at, endedAt] = [toWallClock(), now()]
    const begun = arrival?.receivedAt ?? takenAt
    const root = span("frame", undefined, at(begun))
    const { spanId, traceId } = idsOf(event)
    // The interface of tracers has no way to choose them.
    Object.defineProperties(root, { spanId: { value: spanId }, traceId: { value: traceId } })
    describe(root, key, event)
    root.attribute("sealog.session", event.origin)
    const child = (name: string, from: number, to: number) => {
      const made = span(name, root, at(from))
      if (name === "fan out") made.attribute("sealog.sessions", sessions)
      made.end(at(to), Exit.void)
    }
    if (arrival?.verifiedAt !== undefined) child("verify", begun, arrival.verifiedAt)
    child("decide", takenAt, decidedAt)
    child("wait for commit", decidedAt, committingAt)
    child("commit", committingAt, durableAt)
    child("fan out", durableAt, endedAt)
    root.end(at(endedAt), Exit.void)
  }

  const heard = (key: StreamKey, event: StreamEvent, since: number, sessions: number): void => {
    const at = toWallClock()
    const made = span("fan out", Tracer.externalSpan(idsOf(event)), at(since))
    describe(made, key, event)
    made.attribute("sealog.sessions", sessions)
    made.end(at(now()), Exit.void)
  }

  return { isOn: true, now, samples, stored, heard } satisfies FrameTraces
})

/** The trace of an event, and the span that its frame is: the first 24 of the chain value's 32 bytes. */
const idsOf = ({ chain }: StreamEvent): { readonly traceId: string; readonly spanId: string } => {
  const hex = Buffer.from(chain, "base64url").toString("hex")
  return { traceId: hex.slice(0, 32), spanId: hex.slice(32, 48) }
}

/** A number from 0 to below 1, of the six bytes of a chain value after those of `idsOf`. */
const fractionOf = (chain: string): number => Buffer.from(chain.slice(32, 40), "base64url").readUIntBE(0, 6) / 2 ** 48
