/** Decisions that depend on how those before them met in time. */
import { assert, describe, it } from "@effect/vitest"
import { Result } from "effect"
import { emptyHead, place } from "../../../src/domain/Stream.ts"
import type { LibraryCommand } from "../../../src/domain/verdant/Commands.ts"
import { decide } from "../../../src/domain/verdant/Decide.ts"
import type { ReplicaId } from "../../../src/domain/verdant/Events.ts"
import { evolve } from "../../../src/domain/verdant/Evolve.ts"
import { decodeOperation } from "../../../src/domain/verdant/model/Operation.ts"
import { initial } from "../../../src/domain/verdant/State.ts"
import { ReplicaProgress } from "../../../src/protocols/verdant/ReplicaProgress.ts"

const KEY = { libraryId: "library" as never, streamId: "@verdant" }
const NOW = 1_700_000_000_000

/** A library and what one process knows beside it, which answers nobody: what it decides is not known to its clients yet. */
const makeLibrary = () => {
  let [state, head, count] = [initial, emptyHead, 0]
  const cursors = new ReplicaProgress()
  const stamp = () => `0001${NOW.toString(36).padStart(9, "0")}${(count++).toString(36).padStart(4, "0")}0000000`
  const circumstances = { now: NOW, truancy: 1000, cursors }
  const author = (replicaId: ReplicaId) => ({ replicaId, userId: "user", type: 0, ...circumstances })
  const operation = () => ({
    ...Result.getOrThrow(
      decodeOperation({ oid: "notes/a", timestamp: stamp(), data: { op: "set", name: "x", value: 1 } })
    ),
    owner: null
  })
  const submit = (command: LibraryCommand) => {
    const { event, payload } = Result.getOrThrow(decide(state, command))
    const placed = place(KEY, head, event, "test", NOW)
    head = { version: placed.version, generation: placed.generation, chain: placed.chain }
    state = evolve(state, placed, payload)
    return placed
  }
  return {
    cursors,
    state: () => state,
    makeTruant: (replicaId: ReplicaId) => submit({ _tag: "MakeTruant", replicaId }),
    write: (replicaId: ReplicaId) =>
      submit({ _tag: "StoreOperations", ...author(replicaId), operations: [operation()] }),
    /** Whether there was anything to write down that a process knows. */
    advance: (known: ReplicaProgress) => {
      const command = { _tag: "AdvanceCursors", ...circumstances, cursors: known } as const
      const isDue = Result.isSuccess(decide(state, command))
      if (isDue) submit(command)
      return isDue
    },
    sync: (replicaId: ReplicaId, since: string | null) =>
      submit({
        ...{ _tag: "Sync", ...author(replicaId), timestamp: stamp(), since, resyncAll: since === null },
        ...{ isPolling: true, operations: since === null ? [operation()] : [], baselines: [] }
      })
  }
}

describe("a replica that begins anew", () => {
  it("has nothing of what it had received before, whatever is still known of that while it is not answered", () => {
    const { cursors, makeTruant, state, sync, write } = makeLibrary()
    const [writer, replica] = ["writer" as ReplicaId, "replica" as ReplicaId]
    sync(writer, null)
    sync(replica, null)
    cursors.receive(replica, state().version, null)
    makeTruant(replica)
    write(writer)
    assert.strictEqual(sync(replica, state().replicas.get(replica)!.asOf).type, "ReplicaJoined")
    write(writer)
    assert.isNull(state().replicas.get(replica)!.received)
    assert.propertyVal(write(replica).data, "authorMayLack", true)
  })

  it("has what it received since, whatever another process still knows of it", () => {
    const { advance, cursors, makeTruant, state, sync, write } = makeLibrary()
    const [writer, replica] = ["writer" as ReplicaId, "replica" as ReplicaId]
    sync(writer, null)
    sync(replica, null)
    cursors.receive(replica, state().version, null)
    makeTruant(replica)
    write(writer)
    sync(replica, state().replicas.get(replica)!.asOf)
    const others = new ReplicaProgress()
    others.receive(replica, state().version, null)
    assert.isTrue(advance(others))
    write(writer)
    assert.isFalse(advance(cursors))
    assert.strictEqual(state().replicas.get(replica)!.received, state().replicas.get(replica)!.joinedAt)
  })
})

/** A library in which one has written and the other is just known to have received that. */
const makeLibraryOfTwo = (name: string) => {
  const library = makeLibrary()
  const { cursors, state, sync, write } = library
  const [writer, replica] = ["writer" as ReplicaId, name as ReplicaId]
  sync(writer, null)
  sync(replica, null)
  write(writer)
  cursors.receive(replica, state().version, null)
  return { ...library, writer, replica }
}

describe("what is known of replicas", () => {
  it("is of a user's last thousand", () => {
    const { cursors, state, sync } = makeLibrary()
    for (let n = 0; n < 1010; n++) sync(`replica-${n}` as ReplicaId, null)
    assert.strictEqual(state().replicas.size, 1000)
    assert.isTrue(state().replicas.has("replica-1009" as ReplicaId))
    assert.isUndefined(cursors.received("replica-0" as ReplicaId))
  })

  it("is written down of one with any name", () => {
    const { advance, cursors, replica, state } = makeLibraryOfTwo("__proto__")
    assert.isTrue(advance(cursors))
    assert.isAbove(state().replicas.get(replica)?.received ?? 0, 2)
  })

  it("is not written down when nothing has happened since but that it was written down", () => {
    const { advance, cursors, replica, state, write, writer } = makeLibraryOfTwo("replica")
    assert.isTrue(advance(cursors))
    for (const id of [writer, replica]) cursors.receive(id, state().version, null)
    assert.isFalse(advance(cursors))
    write(writer)
    cursors.receive(replica, state().version, null)
    assert.isTrue(advance(cursors))
  })
})
