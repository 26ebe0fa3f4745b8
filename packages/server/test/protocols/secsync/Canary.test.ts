/** The canary after a failed commit: the server's own write shows whether the storage stores again. */
import { assert, it } from "@effect/vitest"
import { Context, Effect, Exit, Layer } from "effect"
import { TestClock } from "effect/testing"
import { makeTroubledLog } from "#test-support/storage/TroubledLog"
import { serverAdministration } from "../../../src/domain/Administration.ts"
import { LibraryId } from "../../../src/domain/Ids.ts"
import { emptyHead, place } from "../../../src/domain/Stream.ts"
import { nextTurn } from "../../../src/internal/nextTurn.ts"
import { type Append, type Appended, EventLog, LogDamaged, StorageUnavailable } from "../../../src/ports/EventLog.ts"
import { Signals } from "../../../src/ports/Signals.ts"
import { layerCanary } from "../../../src/protocols/secsync/Canary.ts"
import { DocumentRooms } from "../../../src/protocols/secsync/Rooms.ts"
import { Committer } from "../../../src/rooms/Committer.ts"
import { Damage } from "../../../src/rooms/Damage.ts"
import { LogEpoch } from "../../../src/rooms/LogEpoch.ts"
import { Openings } from "../../../src/rooms/Openings.ts"
import { Quotas } from "../../../src/rooms/Quotas.ts"
import { Signatures } from "../../../src/signatures/Signatures.ts"

const isCanary = ({ key }: Pick<Append, "key">) => key.streamId === "canary"

/** A server's canary over a log that is full while `disk.isFull`, and with a damaged canary while `disk.isDamaged`. */
const start = Effect.gen(function* () {
  const { log } = yield* makeTroubledLog
  const disk = { isFull: false, isDamaged: false, trials: 0 }
  const full = new StorageUnavailable({ operation: "append", cause: new Error("database or disk is full") })
  const onDisk = EventLog.of({
    ...log,
    append: (batch, options) => {
      if (batch.some(isCanary)) disk.trials += 1
      return disk.isFull ? Effect.fail(full) : log.append(batch, options)
    },
    tail: (key, options) =>
      disk.isDamaged && isCanary({ key }) ? Effect.die(new LogDamaged({ detail: "a page" })) : log.tail(key, options)
  })
  const services = yield* Layer.build(
    layerCanary().pipe(
      Layer.provide([DocumentRooms.layer(), Signatures.layerInline]),
      Layer.provide([Quotas.layer(), Openings.layer()]),
      Layer.provideMerge([Committer.layer, LogEpoch.layer, Damage.layer]),
      Layer.provideMerge([Layer.succeed(EventLog, onDisk), Signals.layerNone])
    )
  )
  return { committer: Context.get(services, Committer), disk, log }
})

const commit = (committer: Committer["Service"], streamId: string) => {
  const key = { libraryId: LibraryId.make("library"), streamId }
  const event = place(key, emptyHead, { type: "Stored", data: {}, payloadHash: "", checkpoint: false }, "a", 0)
  return Effect.callback<Exit.Exit<Appended, StorageUnavailable>>((resume) =>
    committer.submit(
      () => ({ key, expectedVersion: 0, events: [{ event, payload: null }] }),
      (exit) => resume(Effect.succeed(exit))
    )
  )
}

const until = (happened: () => boolean) => Effect.repeat(nextTurn, { until: happened })

it.effect("tries whether a full disk takes writes again, and the server is not ready before it does", () =>
  Effect.gen(function* () {
    const { committer, disk, log } = yield* start
    assert.isTrue(Exit.isSuccess(yield* commit(committer, "before")))
    yield* TestClock.adjust("1 hour")
    assert.strictEqual(disk.trials, 0)

    disk.isFull = true
    assert.isTrue(Exit.isFailure(yield* commit(committer, "while it is full")))
    for (const trials of [1, 2, 3, 4, 5, 6, 7, 8]) {
      yield* until(() => disk.trials === trials)
      yield* nextTurn
      assert.isTrue(committer.failing())
      yield* TestClock.adjust("2 seconds")
    }

    disk.isFull = false
    yield* TestClock.adjust("2 seconds")
    yield* until(() => !committer.failing())
    const { trials } = disk
    yield* TestClock.adjust("1 hour")
    assert.strictEqual(disk.trials, trials)
    const { head } = yield* log.tail({ libraryId: serverAdministration.libraryId, streamId: "canary" })
    assert.strictEqual(head.version, 1)
  })
)

it.effect("does not keep a server from being ready because its own document is damaged", () =>
  Effect.gen(function* () {
    const { committer, disk } = yield* start
    Object.assign(disk, { isFull: true, isDamaged: true })
    assert.isTrue(Exit.isFailure(yield* commit(committer, "while it is full")))
    yield* until(() => !committer.failing())
    assert.strictEqual(disk.trials, 0)
  })
)
