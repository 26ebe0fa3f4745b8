/** Copies a log into a standby, again and again: whatever its servers write is there moments later. */
import { Clock, type Context, Effect, Latch, type Scope, Stream } from "effect"
import type { Attribution } from "../domain/Administration.ts"
import { type StreamKey, streamName } from "../domain/Stream.ts"
import { isVerdant } from "../domain/verdant/Events.ts"
import * as Metrics from "../metrics/Metrics.ts"
import type { BlobStore } from "../ports/BlobStore.ts"
import type { EventLog, PlacedEvent, StorageUnavailable } from "../ports/EventLog.ts"
import { Signals } from "../ports/Signals.ts"
import { makeFilesFold } from "../protocols/verdant/files/EvictedFiles.ts"
import { Signatures } from "../signatures/Signatures.ts"
import { copyFile } from "./backup/BackedUpFiles.ts"
import { copy } from "./Copy.ts"
import { logEpoch } from "./Restored.ts"
import { beginStandby, demote, requireStandby, takeOver } from "./Standby.ts"

export interface ReplicateOptions {
  /** The stores of files of both logs. Default: files are not copied. */
  readonly files?: { readonly from: BlobStore["Service"]; readonly to: BlobStore["Service"] } | undefined
  /** Go on until interrupted. Default: one round. */
  readonly follow?: boolean
  /**
   * Go on until no server uses the source, copy the rest, make the source a standby, and promote the copy. Default: promote nothing.
   */
  readonly handOver?: HandOver | undefined
  /** Called after every round. */
  readonly onRound?: (status: ReplicationStatus) => void
}

export interface HandOver {
  /** Waits until no server uses the source, and keeps servers from it until the scope closes. */
  readonly withoutServer: Effect.Effect<unknown, StorageUnavailable, Scope.Scope>
  readonly by: Attribution
}

export interface ReplicationStatus {
  /** Events that this call copied. */
  readonly events: number
  readonly files: number
  /** Files whose bytes the source's store did not hold: replaced or deleted since, or lost. */
  readonly filesMissing: number
  /** The standby holds everything that was acknowledged before this time, milliseconds since 1970; null: not yet. */
  readonly inStepAt: number | null
  /** Why the last round failed; null: it did not. */
  readonly failure: string | null
  /** This call promoted the copy. */
  readonly isPromoted: boolean
}

/** The status before the first round. */
export const nothingReplicated: ReplicationStatus = {
  events: 0,
  files: 0,
  filesMissing: 0,
  inStepAt: null,
  failure: null,
  isPromoted: false
}

/** The longest time between two rounds that compare the heads of all streams: a signal may be lost. */
const SWEEP_MILLIS = 5000
/** The pause before a round that failed is tried again. */
const RETRY = "1 second"

/**
 * Copies the log into a standby, which is an empty log, or one that this has copied into before. With `follow` it goes on while either
 * storage is away, and when it is interrupted, it copies the rest before it ends. With `handOver` it goes on likewise, and nothing
 * interrupts it once no server uses the source. Fails if the standby was promoted (`NotAStandby`), has
 * other events than the source (`StreamDiverged`), or the source is damaged (`StreamDamaged`).
 */
export const replicate = Effect.fn("replicate")(
  function* (
    to: Context.Context<EventLog | Signals>,
    { files, follow = false, handOver, onRound }: ReplicateOptions = {}
  ) {
    yield* beginStandby(to)
    const clock = yield* Clock.Clock
    const startedAt = clock.currentTimeMillisUnsafe()
    let status = nothingReplicated
    const behind = () => (clock.currentTimeMillisUnsafe() - (status.inStepAt ?? startedAt)) / 1000
    yield* Metrics.standbyBehindSeconds.at({}).read(behind)

    /** The file has to be there before the event that names it. */
    const copyFiles = (key: StreamKey, page: ReadonlyArray<PlacedEvent>) => {
      if (files === undefined || !isVerdant(key)) return Effect.void
      const fold = makeFilesFold(key.libraryId)
      const { from, to } = files
      return Effect.forEach(
        page.flatMap(({ event }) => fold.take(event) ?? []),
        Effect.fnUntraced(function* (file) {
          if ((yield* to.stat(file.blob))?.size === file.size) return
          const problem = yield* copyFile(from, to, file)
          const { files, filesMissing } = status
          status =
            problem === undefined ? { ...status, files: files + 1 } : { ...status, filesMissing: filesMissing + 1 }
        }),
        { discard: true }
      )
    }

    const inStep = yield* Latch.make()
    /** One round over all streams, or over some of them. */
    const round = Effect.fnUntraced(function* (keys?: ReadonlyArray<StreamKey>) {
      const began = clock.currentTimeMillisUnsafe()
      yield* requireStandby(to)
      const { written } = yield* copy(to, { beforePage: copyFiles, ...(keys && { keys }) })
      Metrics.standbyEvents.at({}).add(written)
      const inStepAt = keys === undefined ? began : status.inStepAt
      status = { ...status, events: status.events + written, inStepAt, failure: null }
      if (keys === undefined) inStep.openUnsafe()
      onRound?.(status)
    })

    if (!follow && handOver === undefined) {
      yield* round()
      return status
    }
    const grown = new Map<string, StreamKey>()
    let isAll = true
    let sweptAt = startedAt
    const some = yield* Latch.make(true)
    const signals = yield* Signals
    yield* Effect.forkScoped(
      Stream.runForEach(signals.wakeups, (woken) =>
        Effect.sync(() => {
          if (woken === "all") isAll = true
          else for (const key of woken) grown.set(streamName(key), key)
          some.openUnsafe()
        })
      )
    )

    /** The stores and the storages may come back. */
    const failed = (error: { readonly message: string }) =>
      Effect.gen(function* () {
        Metrics.standbyFailures.at({}).add()
        isAll = true
        status = { ...status, failure: error.message }
        onRound?.(status)
        yield* Effect.sleep(RETRY)
      })

    const next = Effect.gen(function* () {
      const keys = isAll ? undefined : Array.from(grown.values())
      if (isAll) sweptAt = clock.currentTimeMillisUnsafe()
      isAll = false
      grown.clear()
      some.closeUnsafe()
      yield* round(keys)
      const left = Math.max(0, sweptAt + SWEEP_MILLIS - clock.currentTimeMillisUnsafe())
      yield* Effect.raceFirst(Effect.sleep(left), some.await)
      if (clock.currentTimeMillisUnsafe() >= sweptAt + SWEEP_MILLIS) isAll = true
    }).pipe(Effect.catchTags({ StorageUnavailable: failed, BlobStoreUnavailable: failed }))
    let isHandedOver = false
    const following = Effect.onInterrupt(Effect.forever(next), () =>
      isHandedOver ? Effect.void : Effect.catch(round(), failed)
    )
    if (handOver === undefined) return yield* following
    const { by, withoutServer } = handOver
    const alone = Effect.gen(function* () {
      // The first round over all streams may take long. Until its end, the servers of the source can be started again.
      yield* inStep.await
      yield* withoutServer
      isHandedOver = true
    })
    yield* Effect.raceFirst(following, alone)
    // The order is that of a person: no server may start on the source any more when the rest is copied.
    const handing = Effect.gen(function* () {
      yield* demote(by)
      yield* round()
      yield* Effect.provideContext(takeOver(yield* logEpoch(), by), to)
      status = { ...status, isPromoted: true }
      onRound?.(status)
      return status
    })
    return yield* handing.pipe(
      Effect.tapErrorTag(["StorageUnavailable", "BlobStoreUnavailable"], failed),
      Effect.retry({ while: ({ _tag }) => _tag === "StorageUnavailable" || _tag === "BlobStoreUnavailable" }),
      Effect.uninterruptible
    )
  },
  Effect.provide(Signatures.layerInline),
  Effect.scoped
)
