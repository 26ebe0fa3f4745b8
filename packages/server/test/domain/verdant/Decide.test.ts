/** The rules of a Verdant library: given what happened before, which event a command becomes, or why it is refused. */
import { assert, describe, it } from "@effect/vitest"
import { allAtOnce } from "../../../src/domain/Steps.ts"
import type { DecisionContext } from "../../../src/domain/verdant/Context.ts"
import { ReplicaId } from "../../../src/domain/verdant/Events.ts"
import { fold } from "../../../src/domain/verdant/Evolve.ts"
import { missed } from "../../../src/domain/verdant/Missed.ts"
import { PROCESSING_MILLIS } from "../../../src/domain/verdant/Progress.ts"
import { ownerOfReplica } from "../../../src/domain/verdant/ReplicaOwners.ts"
import { ReplicaProgress } from "../../../src/protocols/verdant/ReplicaProgress.ts"
import { given, NOW, operation, stamp, sync, type Then, TRUANCY, write } from "./decisions.ts"

const isRefused = (then: Then, refusal: string) => assert.deepStrictEqual(then, { refused: refusal })
const isEvent = (then: Then, fields: object) => assert.deepInclude("event" in then ? then.event : then, fields)

/** The context that a room makes of what it knows now. */
const knowing = (progress: ReplicaProgress): Pick<DecisionContext, "known" | "evictedContent"> => ({
  known: progress.snapshot(),
  evictedContent: progress.evictedContent()
})

/** The writer has written one operation; the replica has joined, and then the writer wrote another. */
const twoReplicas = (name = "replica") =>
  given(sync("writer", 1, { operations: [operation(0)] }), sync(name, 2), write("writer", operation(3)))

describe("a sync", () => {
  it("of an unknown replica resets it", () => {
    const library = given(sync("writer", 1, { operations: [operation(0)] }))
    isEvent(library.when(sync("replica", 2)), { _tag: "ReplicaJoined", reset: true, asOf: stamp(2) })
  })

  it("of another user's replica is refused", () => {
    const library = twoReplicas()
    isRefused(library.when(sync("replica", 4, { userId: "other" })), "AnothersReplica")
  })

  it("that brings nothing new is only answered", () => {
    isRefused(twoReplicas().when(sync("replica", 4, { since: stamp(2) })), "NothingNew")
  })

  it("stores the operations that it brings, and leaves out those of another user's document", () => {
    const operations = [operation(4), operation(5, { owner: "other" })]
    const then = twoReplicas().when(sync("replica", 6, { since: stamp(2), operations }))
    isEvent(then, { _tag: "OperationsStored", operations: 1, wrote: stamp(4) })
  })

  it("of a replica that was not heard of for too long resets it, unless it has everything", () => {
    const late = { now: NOW + TRUANCY + 1 }
    isEvent(twoReplicas().when(sync("replica", 4, { since: stamp(2) }), late), { _tag: "ReplicaJoined", reset: true })
    const library = twoReplicas()
    const progress = new ReplicaProgress()
    progress.receive(library.state(), library.replica("replica"), library.state().version)
    isRefused(library.when(sync("replica", 4, { since: stamp(2) }), { ...late, ...knowing(progress) }), "NothingNew")
  })

  it("is refused while the polling replica may still process its reset, and answered with another afterwards", () => {
    const library = twoReplicas()
    isRefused(library.when(sync("replica", 4)), "AlreadyBeingReset")
    isRefused(library.when(sync("replica", 4), { now: NOW + PROCESSING_MILLIS - 1 }), "AlreadyBeingReset")
    isEvent(library.when(sync("replica", 4), { now: NOW + PROCESSING_MILLIS }), { _tag: "ReplicaJoined", reset: true })
  })

  it("resets a replica again at once when its answer reached nobody", () => {
    const library = twoReplicas()
    const progress = new ReplicaProgress()
    progress.miss(library.replica("replica").id)
    isEvent(library.when(sync("replica", 4), knowing(progress)), { _tag: "ReplicaJoined", reset: true })
  })

  it("is refused to a polling replica that may still store content of the evicted library", () => {
    const library = twoReplicas()
    const progress = new ReplicaProgress()
    const offer = { asOf: stamp(2), isReset: true, isPolling: true, at: NOW }
    progress.offer(library.state(), library.replica("replica"), offer)
    library.when({ _tag: "EvictLibrary" })
    progress.evict()
    const brings = sync("replica", 4, { operations: [operation(4)] })
    isRefused(library.when(brings, knowing(progress)), "AlreadyBeingReset")
    const later = { ...knowing(progress), now: NOW + PROCESSING_MILLIS }
    isEvent(library.when(brings, later), { _tag: "OperationsStored", initial: true })
  })
})

describe("a restoration", () => {
  const evicted = () => {
    const library = twoReplicas()
    library.when({ _tag: "EvictLibrary" })
    return library
  }

  it("is asked of one replica at a time, while others wait for ten seconds", () => {
    const library = evicted()
    isEvent(library.when(sync("writer", 4, { since: stamp(1) })), { _tag: "RestoreLeased", replicaId: "writer" })
    isRefused(library.when(sync("writer", 4, { since: stamp(1) })), "RestoreAsked")
    isRefused(library.when(sync("replica", 4, { since: stamp(2) })), "AwaitRestore")
    isRefused(library.when(sync("replica", 4, { operations: [operation(4)] })), "AwaitRestore")
    const later = { now: NOW + 10_000 }
    isEvent(library.when(sync("replica", 4, { since: stamp(2) }), later), { replicaId: "replica" })
  })

  it("leaves nothing to evict until it has brought something", () => {
    const library = evicted()
    library.when(sync("writer", 4, { since: stamp(1) }))
    isRefused(library.when({ _tag: "EvictLibrary" }), "NothingToDo")
    library.when(sync("writer", 4, { operations: [operation(0)] }))
    isEvent(library.when({ _tag: "EvictLibrary" }), { _tag: "Evicted" })
  })
})

describe("a replica", () => {
  const evict = { _tag: "EvictLibrary" } as const
  const restore = (n: number) => sync("writer", n, { operations: [operation(0)] })
  const another = { userId: "another" }

  it("belongs to the user who made it, however often the library was evicted since", () => {
    const library = twoReplicas()
    library.when(evict)
    for (const n of [10, 20]) {
      for (const options of [another, { ...another, type: 5 }, { ...another, since: stamp(2) }]) {
        isRefused(library.when(sync("replica", n, options)), "AnothersReplica")
      }
      isRefused(library.when({ ...write("replica", operation(n)), ...another }), "AnothersReplica")
      library.when(restore(n + 1))
      isRefused(library.when(sync("replica", n + 2, another)), "AnothersReplica")
      library.when(evict)
    }
    isEvent(library.when(restore(30)), { _tag: "OperationsStored" })
    isEvent(library.when(sync("replica", 31)), { _tag: "ReplicaJoined", reset: true })
  })

  it("belongs to the user who made it once the server has forgotten it, also after a compaction", () => {
    const library = twoReplicas()
    library.when({ _tag: "ForgetReplica", replicaId: library.replica("replica").id })
    const progress = new ReplicaProgress()
    progress.promise(library.replica("writer").id, stamp(9), NOW)
    progress.ripen()
    progress.ripen()
    isEvent(library.when({ _tag: "AdvanceCursors" }, knowing(progress)), { watermark: stamp(9) })
    isEvent(library.when({ _tag: "Compact" }, knowing(progress)), { _tag: "Folded" })
    isRefused(library.when(sync("replica", 10, another)), "AnothersReplica")
    isEvent(library.when(sync("replica", 10)), { _tag: "ReplicaJoined", replicaId: "replica" })
  })

  it("has the same user whether the library was read from its first event or from its newest checkpoint", () => {
    const library = twoReplicas()
    library.when(evict)
    library.when(restore(10))
    const { checkpoint, formerReplicas } = library.state()
    const tail = fold(library.stored().filter(({ event }) => event.version >= checkpoint))
    assert.deepStrictEqual([...tail.formerReplicas], [...formerReplicas])
    assert.deepStrictEqual([...formerReplicas], [["replica", "user"]])
  })

  it("has no user any more when its user left a hundred others later, however many those of other users are", () => {
    const library = given(sync("first", 1, { operations: [operation(0)] }), sync("other", 1, another))
    for (let n = 0; n < 100; n++) library.when(sync(`replica-${n}`, 2), { now: NOW + 1 })
    library.when(evict)
    const { formerReplicas } = library.state()
    assert.deepStrictEqual(
      [formerReplicas.size, ownerOfReplica(library.state(), ReplicaId.make("first"))],
      [101, undefined]
    )
    assert.strictEqual(ownerOfReplica(library.state(), ReplicaId.make("other")), "another")
    assert.strictEqual(ownerOfReplica(library.state(), ReplicaId.make("replica-0")), "user")
  })
})

/** The same, where both promised to send nothing older than 9, which is the watermark. */
const belowWatermark = () => {
  const library = twoReplicas()
  const progress = new ReplicaProgress()
  for (const id of ["writer", "replica"]) progress.promise(library.replica(id).id, stamp(9), NOW)
  progress.ripen()
  progress.ripen()
  progress.confirm(library.replica("replica").id, stamp(2))
  isEvent(library.when({ _tag: "AdvanceCursors" }, knowing(progress)), { watermark: stamp(9) })
  return { library, progress }
}

describe("operations", () => {
  it("of a replica that has not joined are refused", () => {
    isRefused(twoReplicas().when(write("stranger", operation(4))), "NotJoined")
  })

  it("that are stored already are only acknowledged", () => {
    isRefused(twoReplicas().when(write("writer", operation(3), operation(3))), "NothingNew")
  })

  it("of a truant replica that misses something need a reset", () => {
    const library = twoReplicas()
    library.when({ _tag: "MakeTruant", replicaId: library.replica("replica").id })
    isEvent(library.when(write("replica", operation(4))), { _tag: "ReplicaForgotten" })
  })

  it("below the watermark are late, unless their author knows what all others wrote", () => {
    const { library, progress } = belowWatermark()
    progress.receive(library.state(), library.replica("replica"), library.state().version)
    isEvent(library.when(write("replica", operation(5)), knowing(progress)), { _tag: "OperationsStored" })
    isRefused(library.when(write("replica", operation(4)), knowing(progress)), "NothingNew")
  })
})

describe("a late operation whose author lacks what others wrote", () => {
  it("makes the library forget its author, so that no newer operation behind it is stored", () => {
    const { library, progress } = belowWatermark()
    progress.receive(library.state(), library.replica("replica"), 2)
    isEvent(library.when(write("replica", operation(5)), knowing(progress)), { _tag: "ReplicaForgotten" })
    isRefused(library.when(write("replica", operation(12)), knowing(progress)), "NotJoined")
    const brought = sync("replica", 13, { since: stamp(2), operations: [operation(5), operation(12)] })
    isEvent(library.when(brought, knowing(progress)), { _tag: "ReplicaJoined", reset: true })
  })
})

describe("an operation below the watermark that is older than another one of its entity there", () => {
  const overtaken = () => {
    const { library, progress } = belowWatermark()
    library.when(write("writer", operation(6, { data: { op: "initialize", value: {} } })))
    for (const id of ["writer", "replica"]) {
      progress.receive(library.state(), library.replica(id), library.state().version)
    }
    return { library, progress }
  }

  it("is late, because some clients have compacted the other one and some have not", () => {
    const { library, progress } = overtaken()
    isEvent(library.when(write("replica", operation(5)), knowing(progress)), { _tag: "ReplicaForgotten" })
    const brought = sync("replica", 10, { since: stamp(2), operations: [operation(5)] })
    isEvent(library.when(brought, knowing(progress)), { _tag: "ReplicaJoined", reset: true })
  })

  it("is late also when the server has compacted the other one", () => {
    const { library, progress } = overtaken()
    isEvent(library.when({ _tag: "Compact" }, knowing(progress)), { _tag: "Folded", operations: 0 })
    isEvent(library.when(write("replica", operation(5)), knowing(progress)), { _tag: "ReplicaForgotten" })
  })

  it("is stored if the other one belongs to another entity or above the watermark", () => {
    const { library, progress } = overtaken()
    const elsewhere = operation(5, { oid: "notes/b" })
    isEvent(library.when(write("replica", elsewhere), knowing(progress)), { _tag: "OperationsStored" })
    library.when(write("writer", operation(12)))
    progress.receive(library.state(), library.replica("replica"), library.state().version)
    isEvent(library.when(write("replica", operation(8)), knowing(progress)), { _tag: "OperationsStored" })
  })
})

describe("a library whose objects were all deleted", () => {
  const emptied = () => {
    const { library, progress } = belowWatermark()
    for (const id of ["writer", "replica"]) {
      progress.receive(library.state(), library.replica(id), library.state().version)
    }
    isEvent(library.when({ _tag: "Compact" }, knowing(progress)), { _tag: "Folded", baselines: 0, operations: 0 })
    return { library, progress }
  }

  it("resets a new replica, because others may not have compacted the objects of which that brings operations", () => {
    const { library, progress } = emptied()
    const brought = sync("new", 12, { operations: [operation(1)] })
    isEvent(library.when(brought, knowing(progress)), { _tag: "ReplicaJoined", reset: true })
  })

  it("resets an unknown replica with history, and does not ask it to restore the library", () => {
    const { library, progress } = emptied()
    const brought = sync("new", 12, { since: stamp(1), operations: [operation(11)] })
    isEvent(library.when(brought, knowing(progress)), { _tag: "ReplicaJoined", reset: true })
  })

  it("does not store an operation again that was compacted", () => {
    const { library, progress } = emptied()
    const again = sync("writer", 12, { since: stamp(1), operations: [operation(3)] })
    isRefused(library.when(again, knowing(progress)), "NothingNew")
  })

  it("takes what its replicas write", () => {
    const { library, progress } = emptied()
    const brought = sync("replica", 12, { since: stamp(2), operations: [operation(11)] })
    isEvent(library.when(brought, knowing(progress)), { _tag: "OperationsStored", operations: 1 })
  })
})

describe("a compaction", () => {
  it("keeps an operation that a replica acknowledged and may not have stored, until its next sync shows that it did", () => {
    const library = twoReplicas()
    const progress = new ReplicaProgress()
    const replica = () => library.replica("replica")
    const compact = () => library.when({ _tag: "Compact" }, knowing(progress))
    progress.receive(library.state(), replica(), 2)
    progress.offer(library.state(), replica(), { asOf: stamp(4), isReset: false, isPolling: true, at: NOW })
    progress.receive(library.state(), replica(), 3)
    for (const id of ["writer", "replica"]) progress.promise(library.replica(id).id, stamp(9), NOW)
    progress.ripen()
    progress.ripen()
    isEvent(library.when({ _tag: "AdvanceCursors" }, knowing(progress)), { watermark: stamp(9) })
    compact()
    // The client ended between its acknowledgement and its storing: it still takes its join for its last sync.
    progress.confirm(replica().id, stamp(2))
    const received = progress.receivedBy(library.state(), replica())
    assert.strictEqual(received, 2)
    assert.deepStrictEqual(
      allAtOnce(missed(library.state(), replica(), received!)).map(({ timestamp }) => timestamp),
      [stamp(3)]
    )
    progress.offer(library.state(), replica(), { asOf: stamp(10), isReset: false, isPolling: true, at: NOW })
    progress.receive(library.state(), replica(), 3)
    progress.confirm(replica().id, stamp(10))
    isEvent(compact(), { _tag: "Folded", operations: 0 })
  })
})

describe("a decision", () => {
  it("depends on its arguments alone: progress that is made later does not change it", () => {
    const library = twoReplicas()
    const progress = new ReplicaProgress()
    const { evictedContent, known } = knowing(progress)
    isRefused(library.when({ _tag: "AdvanceCursors" }, { known, evictedContent }), "NothingToDo")
    progress.receive(library.state(), library.replica("replica"), library.state().version)
    isRefused(library.when({ _tag: "AdvanceCursors" }, { known, evictedContent }), "NothingToDo")
    isEvent(library.when({ _tag: "AdvanceCursors" }, knowing(progress)), { _tag: "CursorsAdvanced" })
  })
})

describe("a replica that was reset", () => {
  it("has nothing of what it had received before, even if this process still knows of that", () => {
    const library = twoReplicas()
    const progress = new ReplicaProgress()
    progress.receive(library.state(), library.replica("replica"), library.state().version)
    library.when({ _tag: "MakeTruant", replicaId: library.replica("replica").id })
    library.when(write("writer", operation(4)))
    const since = library.replica("replica").asOf
    isEvent(library.when(sync("replica", 5, { since }), knowing(progress)), { _tag: "ReplicaJoined", reset: true })
    library.when(write("writer", operation(6)))
    assert.isNull(library.replica("replica").received)
    isEvent(library.when(write("replica", operation(7)), knowing(progress)), { authorMayLack: true })
  })

  it("has what it received since, whatever another process still knows of the time before", () => {
    const library = twoReplicas()
    const [stale, fresh] = [new ReplicaProgress(), new ReplicaProgress()]
    stale.receive(library.state(), library.replica("replica"), library.state().version)
    library.when({ _tag: "MakeTruant", replicaId: library.replica("replica").id })
    library.when(write("writer", operation(4)))
    library.when(sync("replica", 5, { since: library.replica("replica").asOf }), knowing(stale))
    fresh.receive(library.state(), library.replica("replica"), library.state().version)
    isEvent(library.when({ _tag: "AdvanceCursors" }, knowing(fresh)), { _tag: "CursorsAdvanced" })
    library.when(write("writer", operation(6)))
    isRefused(library.when({ _tag: "AdvanceCursors" }, knowing(stale)), "NothingToDo")
    assert.strictEqual(library.replica("replica").received, library.replica("replica").joinedAt)
  })
})

describe("progress", () => {
  it("is remembered of the last thousand replicas of a user", () => {
    const library = given()
    for (let n = 0; n < 1010; n++) library.when(sync(`replica-${n}`, n + 1, { operations: [operation(0)] }))
    assert.strictEqual(library.state().replicas.size, 1000)
    assert.isDefined(library.replica("replica-1009"))
    assert.isUndefined(library.replica("replica-0"))
  })

  it("is recorded of a replica with any name", () => {
    const library = twoReplicas("__proto__")
    const progress = new ReplicaProgress()
    progress.receive(library.state(), library.replica("__proto__"), library.state().version)
    isEvent(library.when({ _tag: "AdvanceCursors" }, knowing(progress)), { _tag: "CursorsAdvanced" })
    assert.strictEqual(library.replica("__proto__").received, 3)
  })

  it("that another process knows and that has become stale never lowers what the log says was received", () => {
    const library = twoReplicas()
    const [stale, fresh] = [new ReplicaProgress(), new ReplicaProgress()]
    const received = () => library.replica("replica").received
    stale.receive(library.state(), library.replica("replica"), 3)
    library.when({ _tag: "AdvanceCursors" }, knowing(stale))
    library.when(write("writer", operation(4)))
    fresh.receive(library.state(), library.replica("replica"), 5)
    isEvent(library.when({ _tag: "AdvanceCursors" }, knowing(fresh)), { cursors: { replica: { received: 5 } } })
    for (const id of ["writer", "replica"]) fresh.promise(library.replica(id).id, stamp(9), NOW)
    fresh.ripen()
    fresh.ripen()
    library.when({ _tag: "AdvanceCursors" }, knowing(fresh))
    library.when(write("writer", operation(10)))
    assert.strictEqual(received(), 5)
    isRefused(library.when({ _tag: "AdvanceCursors" }, knowing(stale)), "NothingToDo")
    assert.strictEqual(received(), 5)
    isEvent(library.when(write("writer", operation(11)), knowing(stale)), { _tag: "OperationsStored" })
    assert.strictEqual(received(), 5)
    isEvent(library.when({ _tag: "Compact" }, knowing(stale)), { _tag: "Folded" })
    assert.strictEqual(received(), 5)
  })

  it("that operations bring along never lowers what the log says was received", () => {
    const library = twoReplicas()
    const progress = new ReplicaProgress()
    const replica = () => library.replica("replica")
    progress.receive(library.state(), replica(), 3)
    library.when({ _tag: "AdvanceCursors" }, knowing(progress))
    // This process offers version 5, another process records that the replica has it, and the replica acknowledges it here.
    library.when(write("writer", operation(4)))
    progress.offer(library.state(), replica(), { asOf: stamp(5), isReset: false, isPolling: true, at: NOW })
    const elsewhere = new ReplicaProgress()
    elsewhere.receive(library.state(), replica(), 5)
    library.when({ _tag: "AdvanceCursors" }, knowing(elsewhere))
    assert.strictEqual(replica().received, 5)
    progress.receive(library.state(), replica(), 6)
    library.when(write("writer", operation(6)), knowing(progress))
    assert.strictEqual(replica().received, 5)
  })

  it("is not recorded when only progress was recorded since", () => {
    const library = twoReplicas()
    const progress = new ReplicaProgress()
    const advance = () => library.when({ _tag: "AdvanceCursors" }, knowing(progress))
    const receive = (id: string) => progress.receive(library.state(), library.replica(id), library.state().version)
    receive("replica")
    isEvent(advance(), { _tag: "CursorsAdvanced" })
    for (const id of ["writer", "replica"]) receive(id)
    isRefused(advance(), "NothingToDo")
    library.when(write("writer", operation(8)))
    receive("replica")
    isEvent(advance(), { _tag: "CursorsAdvanced" })
  })
})

describe("a timestamp of a schema version that no app has", () => {
  const huge = (n: number) => `zzzz${stamp(n).slice(4)}`
  const hugeOperation = (n: number) => ({ ...operation(n), timestamp: huge(n) as never })

  it("is refused in a sync, of an empty library and of any other", () => {
    isRefused(given().when(sync("writer", 1, { timestamp: huge(1) })), "ImplausibleVersion")
    isRefused(twoReplicas().when(sync("writer", 4, { timestamp: huge(4) })), "ImplausibleVersion")
    isRefused(twoReplicas().when(sync("writer", 4, { since: huge(4) })), "ImplausibleVersion")
  })

  it("is refused in an operation and a baseline, and the others are stored", () => {
    const library = twoReplicas()
    isRefused(library.when(write("writer", hugeOperation(4))), "NothingNew")
    isEvent(library.when(write("writer", hugeOperation(5), operation(6))), { operations: 1, wrote: stamp(6) })
    const baseline = { oid: "notes/a", timestamp: huge(0), text: "", owner: null, files: [] }
    const restored = given().when(sync("writer", 9, { operations: [operation(1)], baselines: [baseline] }))
    isEvent(restored, { operations: 1, baselines: 0 })
  })

  it("may be up to a thousand versions above the library's content", () => {
    const at = (version: number, n: number) => `${version.toString(36).padStart(4, "0")}${stamp(n).slice(4)}`
    const of = (version: number, n: number) => ({ ...operation(n), timestamp: at(version, n) as never })
    const library = twoReplicas()
    isRefused(library.when(write("writer", of(1002, 4))), "NothingNew")
    isEvent(library.when(write("writer", of(1001, 5))), { wrote: at(1001, 5) })
    isEvent(library.when(write("writer", of(2001, 6))), { wrote: at(2001, 6) })
    const first = given().when(sync("writer", 1, { operations: [of(9999, 0)] }))
    isEvent(first, { operations: 1 })
    isRefused(given(sync("writer", 1)).when(write("writer", of(10_000, 2))), "NothingNew")
  })

  it("is not reached by steps", () => {
    const at = (version: number, n: number) => `${version.toString(36).padStart(4, "0")}${stamp(n).slice(4)}`
    const of = (version: number, n: number) => ({ ...operation(n), timestamp: at(version, n) as never })
    const library = twoReplicas()
    for (let i = 1; i <= 9; i++) isEvent(library.when(write("writer", of(1 + i * 1000, 4 + i))), { operations: 1 })
    isEvent(library.when(write("writer", of(9999, 20))), { operations: 1 })
    isRefused(library.when(write("writer", of(10_000, 21))), "NothingNew")
  })
})
