/**
 * A library that is compacted in slices, and opened from checkpoints that were written while it went on, is the same as one
 * that is compacted in one go, whatever its history.
 */
import { assert, describe, it } from "@effect/vitest"
import { HashMap, Result } from "effect"
import fc from "fast-check"
import { differenceOf } from "../../../src/admin/verify/SameLibrary.ts"
import { makeVerdantCheck } from "../../../src/admin/verify/VerdantCheck.ts"
import { blake2b256 } from "../../../src/domain/Blake2b.ts"
import { FileId } from "../../../src/domain/Ids.ts"
import { noQuota } from "../../../src/domain/Quota.ts"
import { advance, emptyHead, place, purgesBefore, readsFrom } from "../../../src/domain/Stream.ts"
import { checkpointParts } from "../../../src/domain/verdant/Checkpoint.ts"
import type { LibraryCommand } from "../../../src/domain/verdant/Commands.ts"
import { everything } from "../../../src/domain/verdant/Compaction.ts"
import type { DecisionContext, KnownReplica } from "../../../src/domain/verdant/Context.ts"
import { decide, decideCompaction, decideMerge, type LibraryDecision } from "../../../src/domain/verdant/Decide.ts"
import { ReplicaId } from "../../../src/domain/verdant/Events.ts"
import { evolve, fold } from "../../../src/domain/verdant/Evolve.ts"
import { storedReferences } from "../../../src/domain/verdant/FileReferences.ts"
import { isTruant, withRecordable } from "../../../src/domain/verdant/Progress.ts"
import { initial, type LibraryState, type Replica } from "../../../src/domain/verdant/State.ts"
import { allBatches } from "../../../src/domain/verdant/UnfoldedBatches.ts"
import type { PlacedEvent } from "../../../src/ports/EventLog.ts"
import { author, KEY, NOW, operation, stamp, sync } from "./decisions.ts"

const OIDS = ["notes/a", "notes/b", "notes/c", "notes/c:part", "notes/d"]
/** The users to whom they are private. */
const OWNERS = [null, null, "ada", "ada", "bert"]
const USERS = ["ada", "ada", "bert", "cleo"]
const FILES = ["f1", "f2"]

/** A log, and the library that it gives. `isSliced`: compacts in slices. */
class Log {
  readonly isSliced: boolean
  state: LibraryState = initial
  head = emptyHead
  events: Array<PlacedEvent> = []
  /** Versions below have no payload. */
  purged = 0
  /** The newest timestamp. */
  clock = 10
  readonly known = new Map<ReplicaId, KnownReplica>()
  private parts: { readonly of: number; readonly rest: Array<Uint8Array>; written: number } | undefined

  constructor(isSliced: boolean) {
    this.isSliced = isSliced
  }

  get context(): DecisionContext {
    return { now: NOW, truancy: 1_000_000, quota: noQuota, known: new Map(this.known), evictedContent: new Map() }
  }

  take(decision: Result.Result<LibraryDecision, unknown>, now = NOW): boolean {
    if (Result.isFailure(decision)) return false
    const { event, payload } = decision.success
    const placed = place(KEY, this.head, event, "test", now)
    this.head = advance(this.head, placed)
    this.state = evolve(this.state, placed, payload)
    this.events.push({ event: placed, payload })
    this.purged = Math.max(this.purged, purgesBefore(placed))
    return true
  }

  submit(command: LibraryCommand, context = this.context): boolean {
    return this.take(decide(this.state, command, context), context.now)
  }

  /** The replica has everything, and promises to send nothing older than now. */
  receive(replica: number): void {
    const id = ReplicaId.make(`r${replica}`)
    if (!this.state.replicas.has(id)) return
    this.known.set(id, {
      ...{ received: this.state.version, seen: NOW, promise: stamp(this.clock) },
      ...{ offer: undefined, isUnanswered: false, asked: undefined }
    })
    this.submit({ _tag: "AdvanceCursors" })
  }

  compact(slice: number): void {
    const options = { isTruant: (replica: Replica) => isTruant(replica, this.context) }
    const known = () => withRecordable(this.state, this.context)
    if (!this.isSliced) {
      this.take(decideCompaction(known(), { ...options, portion: everything }))
      return
    }
    const merge = () => {
      let left = slice
      return decideMerge(this.state, known(), {
        ...options,
        oids: OIDS,
        portion: (_, { length }) => {
          const count = Math.min(left, length)
          left -= count
          return count
        }
      })
    }
    while (this.take(merge())) this.checkpoint()
  }

  /** One step of a checkpoint: the beginning, a part, or the end. */
  checkpoint(): void {
    if (!this.isSliced) return
    if (this.parts === undefined) {
      // A checkpoint that its process gave up stands still for a minute.
      if (!this.submit({ _tag: "BeginCheckpoint" }, { ...this.context, now: NOW + 61_000 })) return
      this.parts = { of: this.head.version, rest: Array.from(checkpointParts(this.state, 150)), written: 0 }
      return
    }
    const { of, rest, written } = this.parts
    const payload = rest.shift()
    if (payload === undefined) {
      this.parts = undefined
      this.submit({ _tag: "EndCheckpoint", of, parts: written })
      return void this.submit({ _tag: "PurgePayloads" })
    }
    this.parts.written += 1
    this.submit({ _tag: "WriteCheckpointPart", of, part: written, payload })
  }

  /** Opens the library as a process does that knows the log alone. */
  reopened(): LibraryState {
    const checkpoint = this.events.findLast(({ event }) => event.checkpoint)?.event
    const begin = checkpoint === undefined ? 1 : readsFrom(checkpoint)
    const read = this.events.filter(({ event }) => event.version >= begin)
    assert.isTrue(read.every(({ event, payload }) => payload === null || event.version >= this.purged))
    return fold(read.map(({ event, payload }) => ({ event, payload: payload && Uint8Array.from(payload) })))
  }

  reopen(): void {
    const opened = this.reopened()
    // A compaction in one event forgets the time of an operation on an object that is gone.
    assert.isUndefined(differenceOf({ ...this.state, newest: null }, { ...opened, newest: null }))
    assert.isUndefined(opened.opening)
    if (this.isSliced) assert.strictEqual(opened.bytes, this.state.bytes)
    this.state = opened
    this.parts = undefined
  }

  /** The problems that `replay` finds. `isPurged`: without the payloads that events purged. */
  problems(isPurged: boolean): ReadonlyArray<string> {
    const problems: Array<string> = []
    const { take } = makeVerdantCheck((version, problem, detail) => problems.push(`${version} ${problem}: ${detail}`))
    for (const { event, payload } of this.events) {
      take(event, isPurged && event.version < this.purged ? null : payload, true)
    }
    return problems
  }
}

const file = (id: string) => ({ "@@type": "file", id })
const write = fc.record({
  kind: fc.constant("write" as const),
  who: fc.nat(3),
  what: fc.array(
    fc.record({
      oid: fc.nat(OIDS.length - 1),
      data: fc.oneof(
        fc.constantFrom<object>({ op: "initialize", value: {} }, { op: "initialize", value: [1] }, { op: "delete" }),
        fc.constantFrom(...FILES).map((id) => ({ op: "initialize", value: { file: file(id) } })),
        fc.record({ op: fc.constant("set"), name: fc.constantFrom("x", "y"), value: fc.nat(9) }),
        fc.record({
          op: fc.constant("set"),
          name: fc.constantFrom("x", "y"),
          value: fc.constantFrom(...FILES).map(file)
        }),
        fc.record({ op: fc.constant("list-push"), value: fc.nat(9) })
      )
    }),
    { minLength: 1, maxLength: 4, size: "max" }
  )
})
const step = fc.oneof(
  { weight: 8, arbitrary: write },
  { weight: 6, arbitrary: fc.record({ kind: fc.constant("receive" as const), who: fc.nat(3) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("receiveAll" as const) }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant("compact" as const), slice: fc.integer({ min: 1, max: 4 }) }) },
  {
    weight: 4,
    arbitrary: fc.record({ kind: fc.constant("checkpoint" as const), steps: fc.integer({ min: 1, max: 12 }) })
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("reopen" as const) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("truant" as const), who: fc.nat(3) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("upload" as const), file: fc.nat(1), who: fc.nat(3) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("forget" as const), who: fc.nat(3) }) }
)
type Step = typeof step extends fc.Arbitrary<infer A> ? A : never

const run = (log: Log, step: Step): void => {
  const id = (who: number) => ReplicaId.make(`r${who}`)
  switch (step.kind) {
    case "write": {
      const userId = USERS[step.who]!
      const operations = step.what.map(({ data, oid }) => {
        log.clock += 1
        return operation(log.clock, { oid: OIDS[oid]!, owner: OWNERS[oid]!, data })
      })
      return void log.submit({ _tag: "StoreOperations", ...author(`r${step.who}`, userId), operations })
    }
    case "receive":
      return log.receive(step.who)
    case "receiveAll":
      for (const who of USERS.keys()) log.receive(who)
      return
    case "compact":
      return log.compact(step.slice)
    case "checkpoint":
      for (let i = 0; i < step.steps; i++) log.checkpoint()
      return
    case "reopen":
      return log.reopen()
    case "truant":
      return void log.submit({ _tag: "MakeTruant", replicaId: id(step.who) })
    case "forget":
      return void log.submit({ _tag: "ForgetReplica", replicaId: id(step.who) })
    case "upload": {
      const fileId = FileId.make(FILES[step.file]!)
      const file = { fileId, name: "n", type: "t", size: 1, hash: blake2b256("x"), blob: "b", userId: USERS[step.who]! }
      return void log.submit({ _tag: "StoreFile", file })
    }
  }
}

/** The content without versions: a log of slices has more events. */
const contentOf = ({ baselines, entities, fileReferences, operations, watermark, ...state }: LibraryState) => ({
  ...{ baselines, operations, watermark },
  references: storedReferences(fileReferences),
  batches: Array.from(allBatches(state.batches), ({ operations, replicaId }) => [
    ...[replicaId],
    ...operations.map(({ text }) => text)
  ]),
  entities: HashMap.toEntries(entities)
    .map(([oid, { baseline, operations }]) => [
      oid,
      baseline?.text,
      baseline?.owner,
      operations.map(({ text }) => text)
    ])
    .sort()
})

describe("a compaction in slices", () => {
  it("gives the library that one in one go gives, from any history and any checkpoint", () => {
    fc.assert(
      fc.property(fc.array(step, { minLength: 5, maxLength: 60, size: "max" }), (steps) => {
        const [inOne, sliced] = [new Log(false), new Log(true)]
        for (const log of [inOne, sliced]) {
          for (const [who, userId] of USERS.entries()) {
            log.submit({ ...sync(`r${who}`, 1), ...author(`r${who}`, userId) })
          }
          for (const step of steps) run(log, step)
          log.reopen()
          assert.deepStrictEqual(log.problems(false), [])
          assert.deepStrictEqual(log.problems(true), [])
        }
        assert.deepStrictEqual(contentOf(sliced.state), contentOf(inOne.state))
      }),
      { numRuns: 200 }
    )
  })
})
