/**
 * Clients of one document, honest or not, each with its own and possibly old view of it; and one server that gives every
 * request to the rules and to the model.
 */
import { assert } from "@effect/vitest"
import { HashMap, Result } from "effect"
import fc from "fast-check"
import { DocumentId, Hash, LibraryId, PublicKey, SnapshotId } from "../../../src/domain/Ids.ts"
import { advance, emptyHead, place, type StreamEvent, type StreamHead } from "../../../src/domain/Stream.ts"
import * as Secsync from "../../../src/domain/secsync/index.ts"
import * as Model from "./SecsyncModel.ts"

export const docId = DocumentId.make("document")
const key = { libraryId: LibraryId.make("library"), streamId: docId }

// ------------------------------------------------------------------------------------------------------- clients

/** One client's view of the document: it may be old, and it never includes evictions. */
interface Client {
  readonly author: string
  snapshot: Model.Snapshot | undefined
  clocks: Record<string, number>
  /** The number of history entries that it has received. */
  seen: number
  /** Messages that it made and has not sent, in order. */
  outbox: Array<Model.Snapshot | Model.Update>
}

/** The ways in which a dishonest client changes a message. */
const lies = [
  "proof",
  "document",
  "used id",
  "own parent",
  "unknown parent",
  "clock ahead",
  "clock taken",
  "clock dropped",
  "clock invented",
  "other snapshot"
] as const
type Lie = (typeof lies)[number]

export type Step =
  /** The client receives at most so many entries. */
  | { readonly _tag: "Read"; readonly who: number; readonly atMost: number }
  /** The client forgets everything and loads the document, which is empty after an eviction. */
  | { readonly _tag: "Join"; readonly who: number }
  /** The client brings a document from another server. */
  | { readonly _tag: "Move"; readonly who: number }
  /** The client makes updates; without a snapshot it makes one first. */
  | { readonly _tag: "Edit"; readonly who: number; readonly times: number }
  | { readonly _tag: "Snapshot"; readonly who: number; readonly id: string | undefined }
  /** The client sends the oldest messages of its outbox. */
  | { readonly _tag: "Send"; readonly who: number; readonly times: number; readonly lie: Lie | undefined }
  /** An earlier message arrives again. */
  | { readonly _tag: "Resend"; readonly back: number }
  /** An honest client loads the document, makes updates, and sends all of them. */
  | { readonly _tag: "Work"; readonly who: number; readonly times: number; readonly compact: boolean }
  | { readonly _tag: "Evict" }

const who = fc.nat(2)
const times = fc.integer({ min: 1, max: 4 })
/** Snapshot ids that are properties of every object. */
const id = fc.option(fc.constantFrom("__proto__", "constructor", "toString", "hasOwnProperty", "valueOf"), {
  nil: undefined
})
const lie = fc.option(fc.constantFrom(...lies), { nil: undefined, freq: 3 })
export const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 6, arbitrary: fc.record({ _tag: fc.constant("Work"), who, times, compact: fc.boolean() }) },
  { weight: 4, arbitrary: fc.record({ _tag: fc.constant("Read"), who, atMost: fc.constantFrom(1, 3, 100) }) },
  { weight: 1, arbitrary: fc.record({ _tag: fc.constant("Join"), who }) },
  { weight: 1, arbitrary: fc.record({ _tag: fc.constant("Move"), who }) },
  { weight: 4, arbitrary: fc.record({ _tag: fc.constant("Edit"), who, times }) },
  { weight: 3, arbitrary: fc.record({ _tag: fc.constant("Snapshot"), who, id }) },
  { weight: 8, arbitrary: fc.record({ _tag: fc.constant("Send"), who, times, lie }) },
  { weight: 2, arbitrary: fc.record({ _tag: fc.constant("Resend"), back: fc.nat(8) }) },
  { weight: 1, arbitrary: fc.record({ _tag: fc.constant("Evict") }) }
)

// ------------------------------------------------------------------------------------------------------ the world

/** Every request that arrived, as the rules and as the model know it. */
export class World {
  readonly history: Array<Model.Entry> = []
  readonly events: Array<StreamEvent> = []
  state = Secsync.initial(docId)
  head: StreamHead = emptyHead
  readonly arrived: Array<Model.Entry> = []
  readonly clients: ReadonlyArray<Client> = ["a", "b", "c"].map((name) => ({
    author: name.repeat(43),
    snapshot: undefined,
    clocks: {},
    seen: 0,
    outbox: []
  }))
  readonly maxUpdates: number
  readonly tally: Map<string, number>
  private made = 0

  constructor(maxUpdates: number, tally: Map<string, number>) {
    this.maxUpdates = maxUpdates
    this.tally = tally
  }

  take(step: Step): void {
    switch (step._tag) {
      case "Read":
        return this.read(this.client(step.who), step.atMost)
      case "Join": {
        const client = this.client(step.who)
        client.snapshot = Model.activeSnapshot(this.history)
        client.clocks = Model.activeClocks(this.history)
        client.seen = this.history.length
        client.outbox = []
        return
      }
      case "Move": {
        const client = this.client(step.who)
        client.snapshot = this.snapshotOf(client, undefined)
        client.clocks = { [client.author]: 1 }
        client.outbox = []
        return
      }
      case "Edit": {
        const client = this.client(step.who)
        for (let i = 0; i < step.times; i++) client.outbox.push(this.editOf(client))
        return
      }
      case "Snapshot": {
        const client = this.client(step.who)
        client.outbox.push(this.snapshotOf(client, step.id))
        return
      }
      case "Send": {
        const client = this.client(step.who)
        for (const request of client.outbox.splice(0, step.times)) {
          const sent = step.lie === undefined ? request : this.twist(request, step.lie)
          if (this.arrive(sent) && sent === request) this.acknowledge(client, request)
        }
        return
      }
      case "Resend": {
        const request = this.arrived.at(-1 - step.back)
        if (request !== undefined) this.arrive(request)
        return
      }
      case "Work": {
        this.take({ _tag: "Join", who: step.who })
        this.take({ _tag: "Edit", who: step.who, times: step.times })
        if (step.compact) this.take({ _tag: "Snapshot", who: step.who, id: undefined })
        return this.take({ _tag: "Send", who: step.who, times: step.times + 1, lie: undefined })
      }
      case "Evict":
        this.arrive({ _tag: "Eviction" })
    }
  }

  /** Gives one request to the rules and to the model, and compares their decisions. */
  arrive(request: Model.Entry): boolean {
    const verdict = Model.judge(this.history, docId, request, this.maxUpdates)
    const command = commandOf(request, this.history, this.maxUpdates)
    const before = structuredClone(plain(this.state))
    const result = Secsync.decide(this.state, command)
    assert.deepStrictEqual(Secsync.decide(copyOf(this.state), command), result, "deciding is deterministic")
    this.arrived.push(request)

    const said = Result.isSuccess(result) ? result.success._tag : result.failure._tag
    this.tally.set(said, (this.tally.get(said) ?? 0) + 1)
    if (Result.isFailure(result)) {
      if (verdict === "repeat") assert.strictEqual(said, "AlreadyStored")
      else assert.include([...verdict], reasons[result.failure._tag], "refused for a reason that holds")
      return verdict === "repeat"
    }
    assert.deepStrictEqual(verdict, new Set<Model.Broken>(), `accepted ${JSON.stringify(request)}`)
    const payloadHash = request._tag === "Eviction" ? "" : payloadHashOf(request)
    const event = place(key, this.head, Secsync.toNewEvent(result.success, payloadHash), "test", this.events.length)
    this.head = advance(this.head, event)
    this.events.push(event)
    this.history.push(request)
    const after = Secsync.evolve(this.state, result.success, payloadHash)
    assert.deepStrictEqual(plain(this.state), before, "neither deciding nor evolving changes a state")
    this.state = after
    return true
  }

  private client(index: number): Client {
    return this.clients[index]!
  }

  private read(client: Client, atMost: number): void {
    for (const entry of this.history.slice(client.seen, client.seen + atMost)) {
      client.seen += 1
      if (entry._tag === "Eviction") continue
      this.acknowledge(client, entry)
    }
  }

  private acknowledge(client: Client, entry: Model.Snapshot | Model.Update): void {
    if (entry._tag === "Snapshot") {
      if (client.snapshot?.id === entry.id) return
      client.snapshot = entry
      client.clocks = {}
    } else if (entry.snapshotId === client.snapshot?.id) {
      client.clocks[entry.author] = Math.max(entry.clock, client.clocks[entry.author] ?? 0)
    }
  }

  private editOf(client: Client): Model.Snapshot | Model.Update {
    const { author, clocks, outbox } = client
    const base = outbox.findLast((entry) => entry._tag === "Snapshot") ?? client.snapshot
    if (base === undefined) return this.snapshotOf(client, undefined)
    const pending = outbox.filter((entry) => entry._tag === "Update" && entry.snapshotId === base.id).length
    const known = base === client.snapshot ? (clocks[author] ?? -1) : -1
    return { _tag: "Update", docId, author, snapshotId: base.id, clock: known + 1 + pending, ciphertext: this.seal() }
  }

  private snapshotOf({ author, snapshot, clocks }: Client, id: string | undefined): Model.Snapshot {
    return {
      _tag: "Snapshot",
      docId,
      author,
      id: id ?? `s${this.made}`,
      parentId: snapshot?.id ?? "",
      parentProof: snapshot === undefined ? Model.firstProof() : Model.proofAfter(snapshot),
      parentClocks: { ...clocks },
      ciphertext: this.seal()
    }
  }

  private seal(): string {
    this.made += 1
    return `sealed-${this.made}`
  }

  private twist(request: Model.Snapshot | Model.Update, lie: Lie): Model.Snapshot | Model.Update {
    if (lie === "document") return { ...request, docId: "another" }
    if (request._tag === "Update") {
      const { clock } = request
      if (lie === "clock ahead") return { ...request, clock: clock + 1 }
      if (lie === "clock taken") return { ...request, clock: Math.max(0, clock - 1) }
      if (lie === "other snapshot") return { ...request, snapshotId: this.usedId() }
      return { ...request, ciphertext: this.seal() }
    }
    const [[first] = [], ...others] = Object.entries(request.parentClocks)
    if (lie === "proof") return { ...request, parentProof: Model.hash("forged") }
    if (lie === "used id") return { ...request, id: this.usedId() }
    if (lie === "own parent") return { ...request, id: request.parentId || request.id }
    if (lie === "unknown parent") return { ...request, parentId: "unknown" }
    if (lie === "clock dropped") return { ...request, parentClocks: Object.fromEntries(others) }
    if (lie === "clock invented") return { ...request, parentClocks: { ...request.parentClocks, ["x".repeat(43)]: 0 } }
    if (lie === "clock ahead" && first !== undefined) {
      return { ...request, parentClocks: { ...request.parentClocks, [first]: request.parentClocks[first]! + 1 } }
    }
    return request
  }

  private usedId(): string {
    return Model.snapshots(this.history)[0]?.id ?? "none"
  }
}

/** The rule of the protocol behind each refusal. */
export const reasons: Record<Secsync.DocumentRefusal["_tag"], Model.Broken | undefined> = {
  AlreadyStored: undefined,
  WrongDocument: "other document",
  SnapshotOutdated: "outdated",
  SnapshotMissesUpdates: "misses updates",
  SnapshotProofInvalid: "invalid proof",
  SnapshotIdUsed: "id was used",
  UpdateOutdated: "snapshot is not active",
  ClockAhead: "clock ahead",
  ClockTaken: "clock taken",
  NoSnapshot: "no active snapshot",
  SnapshotDue: "snapshot due",
  QuotaReached: undefined,
  DocumentDeleted: undefined,
  DocumentMissing: undefined,
  DocumentExists: undefined,
  NothingToAllow: undefined,
  NothingToEvict: "nothing to evict"
}

const payloadHashOf = (request: Model.Entry): Hash => Hash.make(Model.hash(JSON.stringify(request)))

const commandOf = (request: Model.Entry, history: Model.History, maxUpdates: number): Secsync.DocumentCommand => {
  switch (request._tag) {
    case "Snapshot":
      return {
        _tag: "StoreSnapshot",
        documentId: request.docId,
        snapshotId: SnapshotId.make(request.id),
        parentSnapshotId: request.parentId === "" ? "" : SnapshotId.make(request.parentId),
        parentSnapshotProof: Hash.make(request.parentProof),
        parentSnapshotUpdateClocks: new Map(
          Object.entries(request.parentClocks).map(([author, clock]) => [PublicKey.make(author), clock])
        ),
        pubKey: PublicKey.make(request.author),
        ciphertextHash: Hash.make(Model.hash(request.ciphertext)),
        payloadHash: payloadHashOf(request),
        used: Model.snapshots(history).some(({ id }) => id === request.id)
      }
    case "Update":
      return {
        _tag: "StoreUpdate",
        documentId: request.docId,
        refSnapshotId: SnapshotId.make(request.snapshotId),
        pubKey: PublicKey.make(request.author),
        clock: request.clock,
        payloadHash: payloadHashOf(request),
        snapshotDueAfter: maxUpdates
      }
    case "Eviction":
      return { _tag: "Evict" }
  }
}

/** A state whose clocks are a plain map, which can be cloned, and compared field by field. */
export const plain = (state: Secsync.DocumentState) => ({ ...state, clocks: new Map(state.clocks) })

const copyOf = (state: Secsync.DocumentState): Secsync.DocumentState => {
  const { clocks, ...fields } = structuredClone(plain(state))
  return { ...fields, clocks: HashMap.fromIterable(clocks) }
}
