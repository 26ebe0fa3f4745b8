/**
 * A Verdant library under any interleaving of replicas and server. Replicas write offline, come back late, lose answers, and
 * compact up to the watermark. The server records progress at any moment, compacts at once or object by object, writes
 * checkpoints while others write, restarts from the newest checkpoint, and evicts. At the end all have the same content.
 */
import { assert, describe, it } from "@effect/vitest"
import { HashMap, Result } from "effect"
import fc from "fast-check"
import { differenceOf } from "../../../src/admin/verify/SameLibrary.ts"
import { makeVerdantCheck } from "../../../src/admin/verify/VerdantCheck.ts"
import { noQuota } from "../../../src/domain/Quota.ts"
import { allAtOnce } from "../../../src/domain/Steps.ts"
import { advance, emptyHead, place, purgesBefore, readsFrom, type StreamHead } from "../../../src/domain/Stream.ts"
import { checkpointParts } from "../../../src/domain/verdant/Checkpoint.ts"
import type { LibraryCommand, LibraryRefusal } from "../../../src/domain/verdant/Commands.ts"
import { compactionProblem, valueOf } from "../../../src/domain/verdant/Compaction.ts"
import { decide } from "../../../src/domain/verdant/Decide.ts"
import type { ReplicaId } from "../../../src/domain/verdant/Events.ts"
import { evolve, fold } from "../../../src/domain/verdant/Evolve.ts"
import { isUpToDate, missed, missedBaselines } from "../../../src/domain/verdant/Missed.ts"
import { decodeOperation, patchOf } from "../../../src/domain/verdant/model/Operation.ts"
import { applyPatch } from "../../../src/domain/verdant/model/Patch.ts"
import type { OwnedOperation } from "../../../src/domain/verdant/model/StoredItems.ts"
import { initial, type LibraryState } from "../../../src/domain/verdant/State.ts"
import { ReplicaProgress } from "../../../src/protocols/verdant/ReplicaProgress.ts"

const KEY = { libraryId: "library" as never, streamId: "@verdant" }
const TRUANCY = 1_000_000
const OIDS = ["notes/a", "notes/b"]

/** A log, and what one process knows beyond it. */
class Server {
  head: StreamHead = emptyHead
  state: LibraryState = initial
  events: Array<{ event: Parameters<typeof evolve>[1]; payload: Uint8Array | null }> = []
  progress = new ReplicaProgress()
  now = 1_700_000_000_000
  /** Events of versions before this have no payload in the log. */
  purged = 0
  /** The parts of the checkpoint that this process writes, which are not written yet. */
  unwritten: { readonly of: number; readonly count: number; readonly rest: Array<Uint8Array> } | undefined
  readonly truancy: number

  constructor(truancy = TRUANCY) {
    this.truancy = truancy
  }

  context() {
    const { now, progress, truancy } = this
    return {
      now,
      truancy,
      quota: noQuota,
      known: progress.snapshot(),
      evictedContent: progress.evictedContent()
    }
  }

  submit(command: LibraryCommand): Result.Result<string, LibraryRefusal> {
    const decision = decide(this.state, command, this.context())
    if (Result.isFailure(decision)) return Result.fail(decision.failure)
    const { event, payload } = decision.success
    const placed = place(KEY, this.head, event, "test", this.now)
    this.head = advance(this.head, placed)
    const before = this.state
    this.state = evolve(this.state, placed, payload)
    if (placed.type === "Folded") assert.isUndefined(compactionProblem(before, this.state))
    if (before.watermark !== null && placed.type !== "Evicted") {
      assert.isTrue(this.state.watermark !== null && this.state.watermark >= before.watermark, "a watermark fell")
    }
    this.events.push({ event: placed, payload })
    this.purged = Math.max(this.purged, purgesBefore(placed))
    return Result.succeed(placed.type)
  }

  /** The process loses what it knows beyond the log. */
  restart(): void {
    this.progress = new ReplicaProgress()
    this.unwritten = undefined
    const from = this.events.findLast(({ event }) => event.checkpoint)?.event
    const tail = this.events.slice(from === undefined ? 0 : readsFrom(from) - 1)
    for (const { event, payload } of tail) assert.isTrue(payload === null || event.version >= this.purged)
    const { state: before } = this
    this.state = fold(tail.map(({ event, payload }) => ({ event, payload: payload && Buffer.from(payload) })))
    assert.isUndefined(differenceOf({ ...before, newest: null }, { ...this.state, newest: null }))
  }

  /** Merges operations of one object. */
  merge(oid: string): void {
    this.submit({ _tag: "Merge", oids: [oid] })
  }

  /** Begins a checkpoint, or writes its next part, or ends it. */
  checkpoint(): void {
    const { state, unwritten } = this
    if (unwritten === undefined) {
      this.now += 100_000
      if (Result.isFailure(this.submit({ _tag: "BeginCheckpoint" }))) return
      const rest = Array.from(checkpointParts(this.state, 100))
      this.unwritten = { of: state.version + 1, count: rest.length, rest }
      return
    }
    const { count, of, rest } = unwritten
    const payload = rest.shift()
    if (payload !== undefined) {
      this.submit({ _tag: "WriteCheckpointPart", of, part: count - rest.length - 1, payload })
    } else {
      this.submit({ _tag: "EndCheckpoint", of, parts: count })
      this.submit({ _tag: "PurgePayloads" })
      this.unwritten = undefined
    }
  }

  keep(): void {
    this.now += 2000
    this.progress.ripen()
    this.progress.takeChanged()
    this.submit({ _tag: "AdvanceCursors" })
  }
}

/** Asserts that `replay` accepts the events, because the rules made them. */
const assertVerified = ({ events }: Server): void => {
  const problems: Array<string> = []
  const { take } = makeVerdantCheck((version, problem, detail) => problems.push(`${version} ${problem}: ${detail}`))
  for (const { event, payload } of events) assert.isTrue(take(event, payload, true))
  assert.deepStrictEqual(problems, [])
}

type Values = ReadonlyMap<string, unknown>

/** A client and its storage: baselines, which it made of operations below the watermark, and operations. */
class Client {
  readonly id: ReplicaId
  baselines = new Map<string, { value: unknown; timestamp: string }>()
  operations = new Map<string, OwnedOperation>()
  own = new Set<string>()
  lastSynced: string | null = null
  counter = 0
  /** The newest time that it has seen. */
  clock = 0
  readonly node: string

  constructor(index: number) {
    this.id = `replica${index}` as ReplicaId
    this.node = `n${index}`.padStart(7, "0")
  }

  stamp(server: Server): string {
    this.clock = Math.max(this.clock + 1, server.now)
    this.counter += 1
    return `0001${this.clock.toString(36).padStart(9, "0")}${(this.counter % 1000).toString(36).padStart(4, "0")}${this.node}`
  }

  write(server: Server, oid: string, kind: number): void {
    const timestamp = this.stamp(server)
    const data =
      kind === 0
        ? { op: "initialize", value: { made: timestamp } }
        : kind === 1
          ? { op: "set", name: `f${this.counter % 3}`, value: timestamp }
          : kind === 2
            ? { op: "set", name: "last", value: timestamp }
            : { op: "delete" }
    this.take({ oid, timestamp, data }, true)
  }

  take(json: unknown, isOwn: boolean): void {
    const operation = Result.getOrThrow(decodeOperation(json))
    const name = `${operation.timestamp} ${operation.oid}`
    this.clock = Math.max(this.clock, Number.parseInt(operation.timestamp.slice(4, 13), 36))
    if (!this.operations.has(name)) this.operations.set(name, { ...operation, owner: null })
    if (isOwn) this.own.add(name)
  }

  sorted(): ReadonlyArray<OwnedOperation> {
    return Array.from(this.operations.values()).sort((a, b) => (a.timestamp < b.timestamp ? -1 : 1))
  }

  /** As the real client does: merges all operations below the watermark. */
  fold(watermark: string): void {
    for (const operation of this.sorted()) {
      if (operation.timestamp >= watermark) break
      const baseline = this.baselines.get(operation.oid)
      if (baseline === undefined || operation.timestamp > baseline.timestamp) {
        const value = applyPatch(baseline?.value, patchOf(operation))
        if (value === undefined || value === null) this.baselines.delete(operation.oid)
        else this.baselines.set(operation.oid, { value, timestamp: operation.timestamp })
      }
      this.operations.delete(`${operation.timestamp} ${operation.oid}`)
    }
  }

  values(): Values {
    const values = new Map<string, unknown>(Array.from(this.baselines, ([oid, { value }]) => [oid, value]))
    for (const operation of this.sorted()) {
      values.set(operation.oid, applyPatch(values.get(operation.oid), patchOf(operation)))
    }
    for (const [oid, value] of values) if (value === undefined || value === null) values.delete(oid)
    return values
  }

  /** `arrives`: whether the client processes the answer; `isAcknowledged`: whether it acknowledges that. */
  sync(server: Server, arrives: boolean, isAcknowledged: boolean, type = 0): void {
    const { progress } = server
    const timestamp = this.stamp(server)
    const since = this.lastSynced
    progress.confirm(this.id, since)
    const operations = this.sorted().filter(
      (operation) =>
        since === null || (this.own.has(`${operation.timestamp} ${operation.oid}`) && operation.timestamp > since)
    )
    const baselines =
      since === null
        ? Array.from(this.baselines)
            .filter(([, { value }]) => value !== undefined)
            .map(([oid, { timestamp, value }]) => ({
              ...{ oid, timestamp, owner: null },
              text: JSON.stringify({ oid, timestamp, snapshot: value }),
              files: []
            }))
        : []
    const outcome = server.submit({
      ...{ _tag: "Sync", replicaId: this.id, userId: "user", type, timestamp, since },
      ...{ resyncAll: since === null, isPolling: false, operations, baselines }
    })
    if (Result.isSuccess(outcome) && outcome.success === "RestoreLeased") {
      if (!arrives) return
      this.lastSynced = null
      return this.sync(server, arrives, isAcknowledged, type)
    }
    if (Result.isFailure(outcome) && outcome.failure._tag !== "NothingNew") return
    const isReset =
      Result.isSuccess(outcome) &&
      outcome.success === "ReplicaJoined" &&
      (server.events.at(-1)!.event.data as { reset: boolean }).reset
    const { state } = server
    const replica = state.replicas.get(this.id)!
    const received = progress.receivedBy(state, replica) ?? replica.joinedAt
    const sent = isReset ? [] : allAtOnce(missed(state, replica, received))
    const history = isReset ? [] : missedBaselines(state, replica, received)
    if (isReset || sent.length + history.length > 0) {
      progress.offer(state, replica, { asOf: timestamp, isReset, isPolling: true, at: server.now })
    } else progress.receive(state, replica, state.version)
    progress.promise(this.id, timestamp, server.now)
    progress.hear(this.id, server.now)
    if ((isReset || sent.length + history.length > 0) && isAcknowledged) {
      progress.receive(state, replica, state.version)
    }
    if (!arrives) return
    if (isReset) {
      this.baselines.clear()
      this.operations.clear()
      this.own.clear()
      for (const [oid, entity] of HashMap.toEntries(state.entities)) {
        if (entity.baseline !== undefined) {
          const { snapshot, timestamp } = JSON.parse(entity.baseline.text)
          this.baselines.set(oid, { value: snapshot, timestamp })
        }
        for (const { text } of entity.operations) this.take(JSON.parse(text), false)
      }
    }
    for (const { oid, text } of history) {
      const { snapshot, timestamp } = JSON.parse(text)
      this.baselines.set(oid, { value: snapshot, timestamp })
    }
    for (const { text } of sent) this.take(JSON.parse(text), false)
    this.lastSynced = timestamp
    if (state.watermark !== null) this.fold(state.watermark)
  }

  hasUnsent(): boolean {
    const since = this.lastSynced
    return this.sorted().some(
      (operation) =>
        this.own.has(`${operation.timestamp} ${operation.oid}`) && (since === null || operation.timestamp > since)
    )
  }
}

const serverValues = ({ state }: Server): Values =>
  new Map(
    HashMap.toEntries(state.entities).flatMap(([oid, entity]) => {
      const value = valueOf(entity)
      return value === undefined ? [] : [[oid, value] as const]
    })
  )

const plain = (values: Values) => Object.fromEntries([...values].sort(([a], [b]) => (a < b ? -1 : 1)))

const step = fc.oneof(
  { weight: 8, arbitrary: fc.record({ kind: fc.constant("write"), who: fc.nat(3), oid: fc.nat(1), what: fc.nat(3) }) },
  {
    weight: 8,
    arbitrary: fc.record({
      kind: fc.constant("sync"),
      who: fc.nat(3),
      arrives: fc.boolean(),
      isAcknowledged: fc.boolean()
    })
  },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant("keep") }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant("fold") }) },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant("merge"), oid: fc.nat(1) }) },
  { weight: 5, arbitrary: fc.record({ kind: fc.constant("checkpoint") }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("restart") }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("evict") }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("sleep"), who: fc.nat(3) }) }
)

type Step = {
  kind: string
  who?: number
  oid?: number
  what?: number
  arrives?: boolean
  isAcknowledged?: boolean
}

const run = (server: Server, clients: ReadonlyArray<Client>, types: ReadonlyArray<number>, { kind, ...step }: Step) => {
  const client = clients[step.who ?? 0]!
  server.now += 10
  switch (kind) {
    case "write":
      return client.write(server, OIDS[step.oid!]!, step.what!)
    case "sync":
      return client.sync(server, step.arrives!, step.isAcknowledged!, types[step.who!])
    case "keep":
      return server.keep()
    case "fold":
      return void server.submit({ _tag: "Compact" })
    case "merge":
      return server.merge(OIDS[step.oid!]!)
    case "checkpoint":
      return server.checkpoint()
    case "restart":
      return server.restart()
    case "evict":
      server.submit({ _tag: "EvictLibrary" })
      return server.progress.evict()
    case "sleep":
      // As if it had slept for longer than the truancy time.
      return void server.submit({ _tag: "MakeTruant", replicaId: client.id })
  }
}

const settle = (server: Server, clients: ReadonlyArray<Client>, types: ReadonlyArray<number>): void => {
  for (let round = 0; round < 6; round++) {
    for (const [i, client] of clients.entries()) {
      server.now += 20_000
      client.sync(server, true, true, types[i])
    }
    server.keep()
    server.keep()
  }
}

/** After these steps and some syncs of all, everyone has the same content, and the log holds it. */
const assertConverges = (steps: ReadonlyArray<Step>, types: ReadonlyArray<number> = [0, 0, 0, 0]): void => {
  const server = new Server()
  const clients = [0, 1, 2, 3].map((index) => new Client(index))
  for (const step of steps) run(server, clients, types, step)
  settle(server, clients, types)
  const expected = plain(serverValues(server))
  for (const client of clients) assert.deepStrictEqual(plain(client.values()), expected, client.id)
  assertVerified(server)
  server.restart()
  assert.deepStrictEqual(plain(serverValues(server)), expected)
}

describe("a Verdant library under any interleaving of replicas and server", () => {
  const interleaving = fc.tuple(
    fc.array(step, { minLength: 1, maxLength: 100, size: "max" }),
    fc.array(fc.constantFrom(0, 1, 2), { minLength: 4, maxLength: 4 })
  )

  it("ends with the same content for all, and its log passes verification", () => {
    fc.assert(
      fc.property(interleaving, ([steps, types]) => assertConverges(steps as ReadonlyArray<Step>, types)),
      { numRuns: 1000 }
    )
  })

  it("loses no operation of a replica that answers reach", () => {
    const withoutLoss = interleaving.map(
      ([steps]) =>
        steps
          .filter(({ kind }) => kind !== "evict" && kind !== "sleep")
          .map((step) =>
            step.kind === "sync" ? { ...step, arrives: true, isAcknowledged: true } : step
          ) as Array<Step>
    )
    fc.assert(
      fc.property(withoutLoss, (steps) => {
        // The checkpoints of a long history take longer than the truancy time, and a truant replica may lose operations.
        const server = new Server(Number.MAX_SAFE_INTEGER)
        const clients = [0, 1, 2, 3].map((index) => new Client(index))
        const all = [0, 0, 0, 0]
        // The first client decides the library's content; the others are reset to that.
        for (const client of clients) client.sync(server, true, true)
        const written = new Set<string>()
        for (const step of steps) {
          run(server, clients, all, step)
          for (const client of clients) for (const name of client.own) written.add(name)
        }
        settle(server, clients, all)
        const stored = new Set(
          server.events.flatMap(({ event, payload }) =>
            event.type === "OperationsStored"
              ? JSON.parse(Buffer.from(payload!).toString()).operations.map(
                  ({ oid, timestamp }: { oid: string; timestamp: string }) => `${timestamp} ${oid}`
                )
              : []
          )
        )
        for (const name of written) assert.isTrue(stored.has(name), name)
        for (const client of clients) {
          assert.isFalse(client.hasUnsent())
          const replica = server.state.replicas.get(client.id)!
          assert.isTrue(isUpToDate(server.state, replica, server.progress.receivedBy(server.state, replica)))
        }
      }),
      { numRuns: 500 }
    )
  })
})

describe("a Verdant library", () => {
  const [initialize, set, erase] = [0, 1, 3]
  const writes = (who: number, what: number): Step => ({ kind: "write", who, oid: 0, what })
  const syncs = (who: number, { arrives = true, isAcknowledged = true } = {}): Step => ({
    ...{ kind: "sync", who, arrives, isAcknowledged }
  })
  const lost = { arrives: false, isAcknowledged: false }
  const keep: Step = { kind: "keep" }

  /** Replica 0 compacts a deletion of its own as soon as it receives the older operation. */
  const compactedDeletion = (answer: { readonly isAcknowledged: boolean }): ReadonlyArray<Step> => [
    ...[syncs(0), writes(1, initialize), writes(0, erase), syncs(1, lost), syncs(0, lost), keep, keep],
    syncs(0, answer)
  ]

  it("does not revive an object whose deletion a replica compacted before its acknowledgement was lost", () => {
    assertConverges(compactedDeletion({ isAcknowledged: false }))
  })

  it("does not revive an object whose deletion a replica compacted before the server lost its progress", () => {
    assertConverges([...compactedDeletion({ isAcknowledged: true }), { kind: "restart" }])
  })

  it("has the same content for all if a new replica brings older operations on an object that was compacted away", () => {
    assertConverges([writes(0, initialize), writes(3, set), syncs(3), keep, keep, { kind: "fold" }])
  })

  it("sends a baseline that another replica restored to a replica that writes before it received that", () => {
    const evicted = [writes(0, initialize), syncs(1, lost), syncs(0), { kind: "evict" }]
    assertConverges([...evicted, syncs(2), writes(2, set), syncs(0, lost)])
  })
})
