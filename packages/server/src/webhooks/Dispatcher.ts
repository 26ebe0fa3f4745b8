/**
 * Delivers the changes of a webhook, while this process has it to itself: one change after the other for a library, several
 * libraries at a time. A library whose change was not taken waits for its next attempt and holds up no other. Changes are read
 * from the log when they are delivered, so a library that waits takes the memory of its name.
 */
import { Cause, Clock, Duration, Effect, type Fiber, FiberSet, HashMap, Latch, Option, Random } from "effect"
import { blake2b256 } from "../domain/Blake2b.ts"
import { type ChangeMessage, messageText } from "../domain/changes/ChangeMessage.ts"
import type { LibraryId } from "../domain/Ids.ts"
import { type StreamKey, streamName } from "../domain/Stream.ts"
import { covers, takesType } from "../domain/webhooks/Decide.ts"
import * as Metrics from "../metrics/Metrics.ts"
import type { EventLog, StorageUnavailable } from "../ports/EventLog.ts"
import { readChanges } from "../protocols/changes/readChanges.ts"
import { post } from "./Delivery.ts"
import type { OpenWebhook } from "./OpenWebhook.ts"
import { millisOf, retryDelay, type WebhookOptions } from "./WebhookOptions.ts"

interface Lane {
  readonly libraryId: LibraryId
  /** The streams with changes that are not delivered. */
  readonly streams: Map<string, StreamKey>
  isRunning: boolean
  /** Failed attempts to deliver the next change. */
  failed: number
  /** The time of the next attempt, milliseconds since 1970. */
  readyAt: number
  /** `recordedAt` of the change that is being delivered; undefined: not read yet. */
  oldest: number | undefined
}

/** Positions in one event. */
const MAX_POSITIONS = 500
/** A storage that failed is tried again after this, ms. */
const STORAGE_RETRY = 1000
/** An event that cannot be decoded is logged, and tried again after this, ms. */
const DEFECT_RETRY = 60_000

export class Dispatcher {
  private readonly log: EventLog["Service"]
  private readonly webhook: OpenWebhook
  private readonly owner: string
  private readonly options: WebhookOptions
  private readonly lanes = new Map<LibraryId, Lane>()
  /** Delivered, and not recorded yet. */
  private readonly delivered = new Map<string, number>()
  /** When the delivered changes are to be recorded. */
  private recordAt = Number.POSITIVE_INFINITY
  private readonly changed = Latch.makeUnsafe()

  constructor(log: EventLog["Service"], webhook: OpenWebhook, owner: string, options: WebhookOptions) {
    this.log = log
    this.webhook = webhook
    this.owner = owner
    this.options = options
  }

  /** The last version of a stream that was delivered; undefined: its library stopped, or is not the webhook's. */
  readUpTo(key: StreamKey): number | undefined {
    const state = this.webhook.state()
    if (!covers(state, key.libraryId) || HashMap.has(state.stops, key.libraryId)) return undefined
    return this.positionOf(key)
  }

  add(keys: ReadonlyArray<StreamKey>): void {
    for (const key of keys) {
      const { libraryId } = key
      const lane = this.lanes.get(libraryId) ?? {
        ...{ libraryId, streams: new Map(), isRunning: false, failed: 0, readyAt: 0, oldest: undefined }
      }
      lane.streams.set(streamName(key), key)
      this.lanes.set(libraryId, lane)
    }
    this.changed.openUnsafe()
  }

  /** The number of libraries with changes that are not delivered. */
  waiting(): number {
    return this.lanes.size
  }

  /** `recordedAt` of the oldest change that was tried and not taken; undefined: there is none. */
  oldest(): number | undefined {
    let oldest: number | undefined
    for (const lane of this.lanes.values()) {
      if (lane.oldest !== undefined) oldest = Math.min(oldest ?? lane.oldest, lane.oldest)
    }
    return oldest
  }

  /** Delivers until nothing waits, or this process does not have the webhook any more. */
  run(): Effect.Effect<void, StorageUnavailable> {
    return Effect.gen({ self: this }, function* () {
      const run = yield* FiberSet.makeRuntime<never>()
      while (this.isOwn()) {
        const now = yield* Clock.currentTimeMillis
        if (now >= this.renewAt() || now >= this.recordAt) yield* this.record(now + millisOf(this.options.lease))
        if (this.lanes.size === 0 && this.delivered.size === 0) return
        this.changed.closeUnsafe()
        const next = this.start(now, run)
        const wakeAt = Math.min(next, this.renewAt(), this.recordAt)
        yield* Effect.raceFirst(this.changed.await, Effect.sleep(Math.max(0, wakeAt - now)))
      }
    }).pipe(Effect.scoped)
  }

  /** Forgets what is not delivered, because another process has the webhook. Returns whether there was anything. */
  clear(): boolean {
    const hadWork = this.lanes.size > 0 || this.delivered.size > 0
    this.lanes.clear()
    this.delivered.clear()
    this.recordAt = Number.POSITIVE_INFINITY
    return hadWork
  }

  /** At a shutdown: records what was delivered, and lets another process go on at once. */
  release(): Effect.Effect<void, StorageUnavailable> {
    return Effect.flatMap(Clock.currentTimeMillis, (now) => {
      const { claim } = this.webhook.state()
      return this.isOwn() && claim!.until > now ? this.record(now) : Effect.void
    })
  }

  private isOwn(): boolean {
    const { claim, settings } = this.webhook.state()
    return settings !== undefined && claim?.owner === this.owner
  }

  private renewAt(): number {
    return (this.webhook.state().claim?.until ?? 0) - millisOf(this.options.lease) / 2
  }

  /** Starts the libraries that are ready, and returns the time at which the next one is. */
  private start(now: number, run: (effect: Effect.Effect<void>) => Fiber.Fiber<void>): number {
    let [running, next] = [0, Number.POSITIVE_INFINITY]
    for (const lane of this.lanes.values()) if (lane.isRunning) running += 1
    for (const lane of this.lanes.values()) {
      if (running >= this.options.concurrency) break
      if (lane.isRunning) continue
      if (lane.readyAt > now) {
        next = Math.min(next, lane.readyAt)
        continue
      }
      running += 1
      lane.isRunning = true
      run(this.deliverLane(lane))
    }
    return next
  }

  private deliverLane(lane: Lane): Effect.Effect<void> {
    const again = (millis: number) =>
      Effect.map(Clock.currentTimeMillis, (now) => {
        lane.readyAt = now + millis
      })
    return this.deliverStreams(lane).pipe(
      Effect.catch((error) =>
        Effect.andThen(Effect.logWarning(`Webhook ${this.webhook.id} waits: ${error.message}`), again(STORAGE_RETRY))
      ),
      Effect.catchDefect((defect) =>
        Effect.andThen(
          Effect.logError(`Reading ${lane.libraryId} for webhook ${this.webhook.id} failed`, Cause.die(defect)),
          again(DEFECT_RETRY)
        )
      ),
      Effect.ensuring(
        Effect.sync(() => {
          if (lane.streams.size === 0) this.lanes.delete(lane.libraryId)
          lane.isRunning = false
          this.changed.openUnsafe()
        })
      )
    )
  }

  private deliverStreams(lane: Lane): Effect.Effect<void, StorageUnavailable> {
    return Effect.gen({ self: this }, function* () {
      for (const [name, key] of lane.streams) {
        // A change that is stored from now on names the stream again.
        lane.streams.delete(name)
        const isDone = yield* Effect.onError(this.deliverStream(lane, key), () =>
          Effect.sync(() => void lane.streams.set(name, key))
        )
        if (isDone) continue
        if (this.readUpTo(key) === undefined) lane.streams.clear()
        else lane.streams.set(name, key)
        return
      }
    })
  }

  /** Delivers a stream up to its end. Returns false when a change was not taken. */
  private deliverStream(lane: Lane, key: StreamKey): Effect.Effect<boolean, StorageUnavailable> {
    return Effect.gen({ self: this }, function* () {
      while (true) {
        const { changes, isLast, version } = yield* readChanges(this.log, key, this.positionOf(key))
        for (const change of changes) {
          if (takesType(this.webhook.state(), change.type) && !(yield* this.deliver(lane, key, change))) return false
          yield* this.advance(key, change.version)
        }
        if (version > this.positionOf(key)) yield* this.advance(key, version)
        if (isLast) return true
      }
    })
  }

  /** One attempt. Returns whether the receiver took the change. */
  private deliver(lane: Lane, key: StreamKey, change: ChangeMessage): Effect.Effect<boolean, StorageUnavailable> {
    return Effect.gen({ self: this }, function* () {
      const timeout = Duration.fromInputUnsafe(this.options.timeout)
      const { claim, secret, settings } = this.webhook.state()
      const start = yield* Clock.currentTimeMillis
      // Another process may take the webhook over before the attempt would end.
      if (
        settings === undefined ||
        secret === undefined ||
        !this.isOwn() ||
        claim!.until < start + Duration.toMillis(timeout)
      ) {
        lane.readyAt = start + STORAGE_RETRY
        return false
      }
      lane.oldest = change.recordedAt
      const message = {
        id: messageId(this.webhook.id, key, change),
        body: messageText(change)
      }
      const outcome = yield* post({ url: settings.url, secret }, message, timeout)
      Metrics.webhookDeliveries.at({ outcome: outcome._tag === "Delivered" ? "delivered" : "failed" }).add()
      if (outcome._tag === "Delivered") {
        lane.failed = 0
        lane.oldest = undefined
        return true
      }
      lane.failed += 1
      const { libraryId } = key
      const place = { webhook: this.webhook.id, libraryId, streamId: key.streamId, version: change.version }
      if (outcome.isGone || lane.failed >= this.options.attempts) {
        yield* this.stop(key, change.version, lane.failed, outcome.problem)
        yield* Effect.annotateLogs(
          Effect.logError(`A webhook did not take a change: ${outcome.problem}. Its library waits for webhook replay`),
          place
        )
        return false
      }
      const delay = retryDelay(this.options, lane.failed, yield* Random.next)
      const asked = Math.min(outcome.retryAfter, millisOf(this.options.maxRetry))
      lane.readyAt = (yield* Clock.currentTimeMillis) + Math.max(delay, asked)
      yield* Effect.annotateLogs(Effect.logWarning(`A webhook did not take a change: ${outcome.problem}`), {
        ...place,
        attempt: lane.failed,
        retryIn: Duration.format(Duration.millis(Math.round(Math.max(delay, asked))))
      })
      return false
    })
  }

  private stop(key: StreamKey, version: number, attempts: number, problem: string) {
    return Effect.gen({ self: this }, function* () {
      const until = (yield* Clock.currentTimeMillis) + millisOf(this.options.lease)
      yield* this.record(until)
      const { libraryId, streamId } = key
      const stopped = { libraryId, streamId, version, attempts, problem }
      yield* this.webhook.write({ _tag: "WebhookStopped", owner: this.owner, until, ...stopped })
    })
  }

  private positionOf(key: StreamKey): number {
    const name = streamName(key)
    return Math.max(this.delivered.get(name) ?? 0, this.recorded(name))
  }

  private recorded(name: string): number {
    return Option.getOrElse(HashMap.get(this.webhook.state().positions, name), () => 0)
  }

  private advance(key: StreamKey, version: number): Effect.Effect<void> {
    return Effect.map(Clock.currentTimeMillis, (now) => {
      this.delivered.set(streamName(key), version)
      this.recordAt = Math.min(this.recordAt, now + millisOf(this.options.recordEvery))
      if (this.delivered.size >= MAX_POSITIONS) this.recordAt = now
    })
  }

  /** Writes down what was delivered, and keeps the webhook for this process until a time. */
  private record(until: number): Effect.Effect<void, StorageUnavailable> {
    return Effect.gen({ self: this }, function* () {
      const all = Array.from(this.delivered).slice(0, MAX_POSITIONS)
      // An operator may have skipped changes that were delivered since.
      const positions = all.filter(([name, version]) => version > this.recorded(name))
      const refusal = yield* this.webhook.write({ _tag: "WebhookAdvanced", owner: this.owner, until, positions })
      if (refusal !== undefined && refusal._tag !== "NothingToDo") return
      if (refusal === undefined) {
        for (const [name, version] of all) if (this.delivered.get(name) === version) this.delivered.delete(name)
      }
      this.recordAt = this.delivered.size > 0 ? 0 : Number.POSITIVE_INFINITY
      yield* this.webhook.keep(this.owner, until)
    })
  }
}

const messageId = (id: string, key: StreamKey, { recordedAt, version }: ChangeMessage): string =>
  `msg_${blake2b256(`${id} ${streamName(key)} ${version} ${recordedAt}`)}`
