/** Standbys of logs in memory: what they take, when they refuse, and how they end. */
import { assert, describe, it } from "@effect/vitest"
import { layerMemory as layerMemoryBlobs } from "@sealog/server/adapters/MemoryBlobStore"
import { replay } from "@sealog/server/admin/Replay"
import { type ReplicateOptions, type ReplicationStatus, replicate } from "@sealog/server/admin/Replicate"
import { logEpoch, markRestored } from "@sealog/server/admin/Restored"
import { demote, promote } from "@sealog/server/admin/Standby"
import { FileId, LibraryId, UserId } from "@sealog/server/domain/Ids"
import { emptyHead, place, type StreamKey } from "@sealog/server/domain/Stream"
import { toNewEvent, VERDANT } from "@sealog/server/domain/verdant/Events"
import { BlobStore } from "@sealog/server/ports/BlobStore"
import { EventLog, StorageUnavailable } from "@sealog/server/ports/EventLog"
import { Signals } from "@sealog/server/ports/Signals"
import { newBlobKey } from "@sealog/server/protocols/verdant/files/BlobKeys"
import { refuseStandby } from "@sealog/server/rooms/LogEpoch"
import { Context, Effect, Fiber, Latch, Layer, PubSub, Stream } from "effect"
import { until } from "../support/until.ts"
import { append, changed, document, holdings, key, type Log, memory, on, snapshot, update } from "./support.ts"

const replicated = (from: Log, to: Log, options?: ReplicateOptions) => on(from, replicate(to, options))

/** The streams without the log's own, which says that it is a standby. */
const streamsOf = (log: Log) =>
  Effect.map(on(log, holdings), (held) => held.filter(({ streamId }) => streamId !== "@log"))

const requireEqual = Effect.fnUntraced(function* (from: Log, to: Log) {
  assert.deepStrictEqual(yield* streamsOf(to), yield* streamsOf(from))
})

/** The log, and a function that says that its servers have written to streams. */
const withWakeups = Effect.fnUntraced(function* (log: Log) {
  const woken = yield* PubSub.unbounded<ReadonlyArray<StreamKey>>()
  const signals = Signals.of({ ...Context.get(log, Signals), wakeups: Stream.fromPubSub(woken) })
  return {
    log: Context.add(log, Signals, signals) as Log,
    wake: (...keys: ReadonlyArray<StreamKey>) => PubSub.publish(woken, keys)
  }
})

/** The log, which cannot tell its streams while it is away. */
const awayWhile = (isAway: () => boolean, log: Log) => {
  const away = new StorageUnavailable({ operation: "answer", cause: new Error("away") })
  return changed(log, (service) => ({
    streams: (options) => (isAway() ? Effect.fail(away) : service.streams(options)),
    heads: (keys) => (isAway() ? Effect.fail(away) : service.heads(keys))
  }))
}

/** Follows a log until the scope closes, and keeps the last status. */
const following = Effect.fnUntraced(function* (from: Log, to: Log, options: ReplicateOptions = {}) {
  const statuses: Array<ReplicationStatus> = []
  const fiber = yield* Effect.forkScoped(
    replicated(from, to, { ...options, follow: true, onRound: (status) => statuses.push(status) })
  )
  return { fiber, last: () => statuses.at(-1), statuses }
})

describe("replicate", () => {
  it.live("copies everything once, and then what is new", () =>
    Effect.gen(function* () {
      const [from, to] = [yield* memory, yield* memory]
      yield* on(from, append(key, document(1200)))
      assert.deepInclude(yield* replicated(from, to), { events: 1201, failure: null })
      yield* requireEqual(from, to)
      yield* on(from, append(key, [update(1200), snapshot("second"), { _tag: "Pruned", before: 1203 }]))
      assert.deepInclude(yield* replicated(from, to), { events: 3 })
      yield* requireEqual(from, to)
    })
  )

  it.live("follows the streams that servers name, and finds the others by itself", () =>
    Effect.gen(function* () {
      const [{ log: from, wake }, to] = [yield* withWakeups(yield* memory), yield* memory]
      yield* on(from, append(key, document(3)))
      const { last } = yield* following(from, to)
      yield* until("it has the first events", () => last()?.events === 4)
      yield* on(from, append(key, [update(3)]))
      yield* wake(key)
      yield* until("it has the named one", () => last()?.events === 5)
      yield* on(from, append({ ...key, streamId: "silent" }, document(1)))
      yield* until("it has the one without a signal", () => last()?.events === 7)
      yield* requireEqual(from, to)
    })
  )

  it.live("copies the rest when it is stopped", () =>
    Effect.gen(function* () {
      const [from, to] = [yield* memory, yield* memory]
      yield* on(from, append(key, document(3)))
      const { fiber, last } = yield* following(from, to)
      yield* until("it has the first events", () => last()?.events === 4)
      yield* on(from, append(key, [update(3), update(4)]))
      yield* Fiber.interrupt(fiber)
      yield* requireEqual(from, to)
      assert.deepInclude(last() ?? {}, { events: 6, failure: null })
    })
  )

  it.live("waits while either storage is away, and goes on", () =>
    Effect.gen(function* () {
      for (const side of ["source", "standby"] as const) {
        const [from, to] = [yield* memory, yield* memory]
        yield* on(from, append(key, document(3)))
        let isAway = false
        const sometimes = (log: Log) => awayWhile(() => isAway, log)
        const { last } = yield* side === "source" ? following(sometimes(from), to) : following(from, sometimes(to))
        yield* until("it has the first events", () => last()?.events === 4)
        isAway = true
        yield* on(from, append(key, [update(3)]))
        yield* until("a round failed", () => last()?.failure?.includes("away") === true)
        assert.strictEqual(last()?.events, 4)
        isAway = false
        yield* until("it has all", () => last()?.events === 5 && last()?.failure === null)
        yield* requireEqual(from, to)
      }
    })
  )

  it.live("refuses a log that is neither empty nor a standby, and leaves it alone", () =>
    Effect.gen(function* () {
      const [from, to] = [yield* memory, yield* memory]
      yield* on(from, append(key, document(3)))
      yield* on(to, append(key, document(1)))
      const held = yield* on(to, holdings)
      assert.deepInclude(yield* Effect.flip(replicated(from, to)), { _tag: "NotAStandby" })
      assert.deepStrictEqual(yield* on(to, holdings), held)
    })
  )

  it.live("ends once the standby is promoted", () =>
    Effect.gen(function* () {
      const [from, to] = [yield* memory, yield* memory]
      yield* on(from, append(key, document(3)))
      const { fiber, last } = yield* following(from, to)
      yield* until("it has the events", () => last()?.events === 4)
      yield* on(to, promote())
      yield* on(from, append(key, [update(3)]))
      assert.deepInclude(yield* Effect.flip(Fiber.join(fiber)), { _tag: "NotAStandby" })
      assert.strictEqual((yield* streamsOf(to))[0]?.version, 4)
    })
  )

  it.live("copies a file before the event that names it", () =>
    Effect.gen(function* () {
      const blobs = Effect.map(Layer.build(Layer.fresh(layerMemoryBlobs)), (services) =>
        Context.get(services, BlobStore)
      )
      const [from, to, files] = [yield* memory, yield* memory, { from: yield* blobs, to: yield* blobs }]
      const at = { libraryId: LibraryId.make("notes"), streamId: VERDANT }
      const fileId = FileId.make("one")
      const blob = newBlobKey(at.libraryId, fileId)
      const stored = yield* files.from.put(blob, Stream.make(Buffer.from("content")), 100)
      const data = {
        _tag: "FileStored" as const,
        fileId,
        name: "one",
        type: "text/plain",
        userId: UserId.make("ada"),
        blob,
        ...stored
      }
      const event = place(at, emptyHead, toNewEvent(data, ""), "test", 0)
      yield* Context.get(from, EventLog).append([{ key: at, expectedVersion: 0, events: [{ event, payload: null }] }])
      let isThere: boolean | undefined
      const watched = changed(to, (service) => ({
        append: (batch) =>
          Effect.gen(function* () {
            if (batch.some(({ key }) => key.streamId === VERDANT)) {
              isThere = (yield* Effect.orDie(files.to.stat(blob))) !== undefined
            }
            return yield* service.append(batch)
          })
      }))
      assert.deepInclude(yield* replicated(from, watched, { files }), { events: 1, files: 1, filesMissing: 0 })
      assert.isTrue(isThere)
    })
  )
})

/** A hand-over that waits for `stopped`, which stands for the end of the source's server. */
const handOverAt = (stopped: Latch.Latch): ReplicateOptions => ({ handOver: { withoutServer: stopped.await, by: {} } })

describe("a hand-over", () => {
  it.live("copies the rest once no server uses the source, and changes who is the standby, in the same epoch", () =>
    Effect.gen(function* () {
      const [from, to, stopped] = [yield* memory, yield* memory, yield* Latch.make()]
      yield* on(from, append(key, document(3)))
      yield* on(from, markRestored())
      const { fiber, last } = yield* following(from, to, handOverAt(stopped))
      yield* until("it has the first events", () => last()?.events === 4)
      assert.isFalse(last()?.isPromoted)
      yield* on(from, append(key, [update(3), update(4)]))
      yield* stopped.open
      assert.deepInclude(yield* Fiber.join(fiber), { events: 6, isPromoted: true, failure: null })
      yield* requireEqual(from, to)
      yield* on(to, refuseStandby)
      assert.deepInclude(yield* Effect.flip(on(from, refuseStandby)), { _tag: "LogIsStandby" })
      const { number, restored } = yield* on(from, logEpoch())
      assert.deepInclude(yield* on(to, logEpoch()), { number, restored, isStandby: false })
      const problems = (yield* on(to, replay())).problems.filter(({ streamId }) => streamId === "@log")
      assert.deepStrictEqual(problems, [])
    })
  )

  it.live("is waited for until the copy is in step, and changes nothing when it is stopped before", () =>
    Effect.gen(function* () {
      const [from, to, stopped] = [yield* memory, yield* memory, yield* Latch.make()]
      yield* on(from, append(key, document(3)))
      let isAsked = false
      const withoutServer = Effect.suspend(() => {
        isAsked = true
        return stopped.await
      })
      let isAway = true
      const sometimes = awayWhile(() => isAway, from)
      const { fiber, last } = yield* following(sometimes, to, { handOver: { withoutServer, by: {} } })
      yield* until("a round failed", () => last()?.failure !== null)
      assert.isFalse(isAsked)
      isAway = false
      yield* until("it waits for the end of the server", () => isAsked)
      yield* on(from, append(key, [update(3)]))
      yield* Fiber.interrupt(fiber)
      assert.deepInclude(last() ?? {}, { events: 5, isPromoted: false })
      yield* requireEqual(from, to)
      yield* on(from, refuseStandby)
      assert.deepInclude(yield* Effect.flip(on(to, refuseStandby)), { _tag: "LogIsStandby" })
    })
  )

  it.live("goes through with it after an outage of either side, also when it is interrupted", () =>
    Effect.gen(function* () {
      for (const side of ["source", "standby"] as const) {
        const [from, to, stopped] = [yield* memory, yield* memory, yield* Latch.make()]
        yield* on(from, append(key, document(3)))
        let isAway = false
        const sometimes = (log: Log) => awayWhile(() => isAway, log)
        const { fiber, last } = yield* side === "source"
          ? following(sometimes(from), to, handOverAt(stopped))
          : following(from, sometimes(to), handOverAt(stopped))
        yield* until("it has the first events", () => last()?.events === 4)
        isAway = true
        yield* stopped.open
        yield* until("a round failed", () => last()?.failure?.includes("away") === true)
        yield* Effect.forkScoped(Fiber.interrupt(fiber))
        isAway = false
        yield* until("it is promoted", () => last()?.isPromoted === true)
        yield* on(to, refuseStandby)
        yield* requireEqual(from, to)
      }
    })
  )
})

describe("a standby", () => {
  it.live("is refused by servers, and by `restored`, until it is promoted", () =>
    Effect.gen(function* () {
      const [from, to] = [yield* memory, yield* memory]
      yield* on(from, append(key, [update(0)]))
      yield* replicated(from, to)
      assert.deepInclude(yield* Effect.flip(on(to, refuseStandby)), { _tag: "LogIsStandby" })
      assert.deepInclude(yield* Effect.flip(on(to, markRestored())), { _tag: "LogIsStandby" })
      assert.deepInclude(yield* on(to, promote({ operator: "ada" as never })), { epoch: 2 })
      yield* on(to, refuseStandby)
      assert.deepInclude(yield* on(to, logEpoch()), { number: 2, isStandby: false })
      assert.deepInclude(yield* Effect.flip(on(to, promote())), { _tag: "NotAStandby" })
      const problems = (yield* on(to, replay())).problems.filter(({ streamId }) => streamId === "@log")
      assert.deepStrictEqual(problems, [])
    })
  )

  it.live("is made of a log whose standby was promoted, and then takes what that one has more", () =>
    Effect.gen(function* () {
      const [old, promoted] = [yield* memory, yield* memory]
      yield* on(old, append(key, document(3)))
      yield* replicated(old, promoted)
      yield* on(promoted, promote())
      yield* on(old, demote())
      yield* on(old, demote())
      assert.deepInclude(yield* Effect.flip(on(old, refuseStandby)), { _tag: "LogIsStandby" })
      yield* on(promoted, append(key, [update(3)]))
      assert.deepInclude(yield* replicated(promoted, old), { events: 1 })
      yield* requireEqual(promoted, old)
    })
  )
})
