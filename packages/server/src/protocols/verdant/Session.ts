/**
 * One client of a library: its messages in, in the order they came; answers, and what others do, out. The same for a
 * WebSocket, which stays, and for a request, which is a connection that lives until it is answered.
 */
import { Effect, type Scope } from "effect"
import type { LibraryCommand, LibraryRefusal, Sync } from "../../domain/verdant/Commands.ts"
import { isForbidden } from "../../domain/verdant/Decide.ts"
import type { ReplicaId } from "../../domain/verdant/Events.ts"
import { isUpToDate, missed, missedBaselines } from "../../domain/verdant/Missed.ts"
import type { OwnedOperation } from "../../domain/verdant/model/StoredItems.ts"
import {
  beforeAll,
  firstAt,
  isTimely,
  latest,
  millisOf,
  rightAfter,
  type Timestamp
} from "../../domain/verdant/model/Timestamp.ts"
import { batchOf, newestFirst } from "../../domain/verdant/UnfoldedBatches.ts"
import type { Grant } from "../../ports/Access.ts"
import type { Committed, Outcome, Subscriber } from "../../rooms/RoomProtocol.ts"
import { CloseCode } from "../Connection.ts"
import { Acknowledgements } from "./Acknowledgements.ts"
import { type Contents, everythingFor, lastTimestamp, rebroadcastOf, textsOf } from "./LibraryContent.ts"
import type { Message } from "./Message.ts"
import { PresenceFeed, type PresenceFeedServices } from "./PresenceFeed.ts"
import type { LibraryRoom } from "./Rooms.ts"
import * as Wire from "./Wire.ts"

/** A client's connection, as a session sees it. After `close` the rest are no-ops. */
export interface Client {
  /** Unique: the `origin` of what is stored for it. */
  readonly id: string
  /** Whether it stays, and is told what happens. */
  readonly isRealtime: boolean
  readonly send: (message: Message) => void
  readonly sendVolatile: (message: Message) => void
  readonly close: (code: number, reason: string) => void
  /** Nothing more is handled, and nothing reaches it. */
  readonly isSentAway: () => boolean
}

export interface Session {
  /** Handles messages in their order; done when the next may be handled. */
  readonly receive: (messages: ReadonlyArray<Wire.ClientMessage>) => Effect.Effect<void>
}

/** What sessions are made of. */
export interface Services extends PresenceFeedServices {
  readonly now: () => number
  readonly truancy: number
  readonly presenceTtl: number
  /** The room has something to write down or to let go before long. */
  readonly touch: (room: LibraryRoom) => void
}

/** How often it is looked whether a library that somebody brings back is there. */
const LOOK = "100 millis"
/** When a client has processed the answer to a sync, as good as always. */
const CORRECTION = "2 seconds"
/** Longer than a client takes to store what its user wrote. */
const STORING_MILLIS = 5000

/** Tells the client what happens in the library once it has synced, until the scope closes. */
export const openSession = Effect.fnUntraced(function* (
  services: Services,
  room: LibraryRoom,
  client: Client,
  grant: Grant
) {
  const session = new LibrarySession(services, room, client, grant)
  room.local.presence.connect(room.tell)
  if (client.isRealtime) {
    yield* room.subscribe(session)
    yield* Effect.acquireRelease(
      Effect.sync(() => room.local.presence.listen((change) => session.peers.tell(change))),
      (unlisten) => Effect.sync(unlisten)
    )
  }
  yield* Effect.addFinalizer(() => Effect.sync(() => session.leave()))
  return session as Session
}) satisfies (...args: never) => Effect.Effect<Session, never, Scope.Scope>

class LibrarySession implements Session, Subscriber {
  private readonly services: Services
  private readonly room: LibraryRoom
  private readonly client: Client
  private readonly grant: Grant
  private replicaId: ReplicaId | undefined
  /** Events up to this version are in what the client was answered; before that it is told of nothing. */
  private cut: number | undefined
  private readonly receipts = new Acknowledgements()
  readonly peers: PresenceFeed
  /** It was sent all there is, and acknowledges with this once it has put that in place of what it had. */
  private beginning: string | undefined
  /** The first operation that it was not taken, because its time has not come. */
  private early: string | undefined
  /** What the client takes for its last sync once it has processed what it was last sent. */
  private offeredAsOf: string | undefined
  private isWaiting = false
  /** Who was there when it last asked. */
  private peerPresence: Readonly<Record<string, Wire.UserInfo>> = {}
  private hasLeft = false

  constructor(services: Services, room: LibraryRoom, client: Client, grant: Grant) {
    this.services = services
    this.room = room
    this.client = client
    this.grant = grant
    this.peers = new PresenceFeed(services, room.local.presence, (message) => client.sendVolatile(message))
  }

  get id(): string {
    return this.client.id
  }

  // ---- what happens in the library

  deliver({ event }: Committed): void {
    if (event.type === "Evicted") return this.client.close(CloseCode.goingAway, "the library was evicted")
    if (this.cut === undefined || event.version <= this.cut) return
    const data = event.data as {
      readonly replicaId?: string
      readonly authorMayLack?: true
      readonly watermark?: string
    }
    if (event.type === "ReplicaForgotten" && data.replicaId === this.replicaId) {
      return this.client.close(CloseCode.tryAgainLater, "begin anew")
    }
    const isOwn = data.replicaId === this.replicaId && data.authorMayLack !== true
    if (event.type === "OperationsStored" && !isOwn && this.tellOperations(event.version, data.watermark)) return
    if (data.watermark !== undefined) this.client.send(Wire.globalAck(data.watermark))
    this.receipts.told(event.version, undefined)
    if (this.receipts.isSettled) this.receiveUpTo(event.version)
  }

  /** Whether there was anything to tell. */
  private tellOperations(version: number, watermark: string | undefined): boolean {
    const batch = batchOf(this.room.state().batches, version)
    const told = batch && rebroadcastOf(batch, this.grant.userId, watermark)
    if (batch === undefined || told === undefined) return false
    this.client.send(told)
    this.receipts.told(version, lastTimestamp([batch], this.grant.userId))
    return true
  }

  relay(): void {}

  /** The client has gone, or says that it goes. */
  leave(): void {
    if (this.hasLeft) return
    this.hasLeft = true
    this.cut = undefined
    if (this.client.isRealtime) {
      this.room.local.presence.leave(this.grant.userId, this.client.id)
      // What it was about to say, it says when it comes back.
      if (this.replicaId !== undefined) this.room.local.cursors.leave(this.replicaId, this.offeredAsOf)
    }
    this.services.touch(this.room)
  }

  // ---- what the client says

  receive(messages: ReadonlyArray<Wire.ClientMessage>): Effect.Effect<void> {
    return Effect.forEach(messages, (message) => (this.client.isSentAway() ? Effect.void : this.handle(message)), {
      discard: true
    })
  }

  private handle(message: Wire.ClientMessage): Effect.Effect<void> {
    const { client, room, services } = this
    switch (message._tag) {
      case "NotJson":
        return Effect.sync(() => client.close(CloseCode.notUtf8OrJson, "a message is JSON text"))
      case "Malformed":
        return Effect.andThen(
          Effect.logDebug(`A malformed message: ${message.reason}`),
          Effect.sync(() => client.close(CloseCode.policy, message.reason))
        )
      case "Unknown":
        return Effect.void
      case "Heartbeat":
        return Effect.sync(() => {
          if (this.replicaId !== undefined) room.local.cursors.hear(this.replicaId, services.now())
          client.send(Wire.heartbeatResponse)
        })
    }
    const replica = room.state().replicas.get(message.replicaId)
    if (replica !== undefined && replica.userId !== this.grant.userId) {
      return Effect.sync(() => client.send(Wire.forbidden))
    }
    switch (message._tag) {
      case "Sync":
        return this.sync(message)
      case "Operations":
        return this.storeOperations(message)
      case "Ack":
        return Effect.sync(() => this.acknowledge(message))
      case "Presence":
        return Effect.sync(() => {
          const { internal, presence, replicaId } = message
          this.arrive()
          room.local.presence.update({ userId: this.grant.userId, replicaId, presence, internal })
        })
      case "Disconnecting":
        return Effect.sync(() => {
          if (this.replicaId !== undefined) room.local.cursors.hear(this.replicaId, services.now())
          this.leave()
          // A client may say it late, of a connection that it had before, and would wait on this one for ever.
          if (client.isRealtime) client.close(CloseCode.goingAway, "disconnecting")
        })
    }
  }

  private arrive(): void {
    if (this.hasLeft) return
    const { client, grant, room, services } = this
    room.local.presence.arrive(
      grant.userId,
      client.isRealtime ? client.id : { until: services.now() + services.presenceTtl }
    )
    services.touch(room)
  }

  private submit(command: LibraryCommand): Effect.Effect<Outcome<LibraryRefusal>> {
    return Effect.callback((resume) => {
      this.room.submit(command, this.client.id, (outcome) => {
        // Answered in the same turn: what happens next is told after it.
        if (command._tag === "Sync") this.answerSync(command, outcome)
        resume(Effect.succeed(outcome))
      })
    })
  }

  // ---- sync

  private sync(message: Extract<Wire.ClientMessage, { _tag: "Sync" }>): Effect.Effect<void> {
    return Effect.gen({ self: this }, function* () {
      const { client, grant, room, services } = this
      this.replicaId = message.replicaId
      this.hasLeft = false
      this.arrive()
      const { cursors } = room.local
      // To begin anew a second time would cost it what it wrote meanwhile. One that polls asks again without an answer; what
      // one that is connected asks once more is answered already.
      const isAnswered = !client.isRealtime || this.beginning !== undefined
      if (isAnswered && cursors.isBeginning(message.replicaId, message.since, services.now())) return
      cursors.confirm(message.replicaId, message.since)
      const askedBefore = cursors.ask(message.replicaId, message.timestamp)
      const operations = this.takeTimely(message.operations, message.since)
      this.peerPresence = yield* this.peers.gather()
      if (!client.isRealtime) {
        for (const { userId, replicaId } of room.local.presence.goneSince(message.replicaId)) {
          client.send(Wire.presenceOffline(userId, replicaId))
        }
      }
      const command: Sync = {
        _tag: "Sync",
        replicaId: message.replicaId,
        userId: grant.userId,
        type: grant.replicaType,
        timestamp: message.timestamp,
        since: message.since,
        askedBefore,
        resyncAll: message.resyncAll,
        isPolling: !client.isRealtime,
        operations,
        baselines: message.baselines.items,
        ...this.circumstances()
      }
      const brings = operations.length + command.baselines.length > 0
      if (message.baselines.refused > 0 || (grant.readOnly && brings)) client.send(Wire.forbidden)
      if (!isAwaiting(yield* this.submit(command)) || this.isWaiting) return
      this.isWaiting = true
      // One that polls is answered without it before long, and asks again.
      if (!client.isRealtime) return yield* this.awaitRestore(command)
      // It says nothing that depends on the answer before it has it.
      services.run(this.awaitRestore(command))
    })
  }

  private awaitRestore(command: Sync): Effect.Effect<void> {
    return Effect.gen({ self: this }, function* () {
      do {
        yield* Effect.sleep(LOOK)
        if (this.hasLeft || this.client.isSentAway()) break
      } while (isAwaiting(yield* this.submit({ ...command, ...this.circumstances() })))
      this.isWaiting = false
    })
  }

  private circumstances() {
    const { now, truancy } = this.services
    return { now: now(), truancy, cursors: this.room.local.cursors }
  }

  private answerSync(command: Sync, outcome: Outcome<LibraryRefusal>): void {
    const { client, room } = this
    // What nobody hears was neither sent nor received.
    if (client.isSentAway()) return room.local.cursors.miss(command.replicaId)
    if (outcome._tag === "Unavailable") return client.close(CloseCode.tryAgainLater, "the storage is not available")
    if (outcome._tag === "Refused") {
      switch (outcome.refusal._tag) {
        case "NothingNew":
          return this.answer(command, false)
        case "RestoreAsked":
          return client.send(Wire.needSince)
        case "AwaitRestore":
        case "BeginsAnew":
          return
        default:
          return client.send(Wire.forbidden)
      }
    }
    const { event } = outcome
    if (event.type === "RestoreLeased") return client.send(Wire.needSince)
    const isReset = event.type === "ReplicaJoined" && "reset" in event.data && event.data.reset === true
    if (!isReset && command.operations.some((operation) => isForbidden(room.state(), operation, command.userId))) {
      client.send(Wire.forbidden)
    }
    this.answer(command, isReset)
  }

  private answer(command: Sync, overwrite: boolean): void {
    const { client, grant, room, services } = this
    const state = room.state()
    const { cursors } = room.local
    const replica = state.replicas.get(command.replicaId)
    if (replica === undefined) return client.send(Wire.forbidden)
    const received = cursors.received(replica.id) ?? replica.received ?? replica.joinedAt
    const operations = overwrite ? [] : missed(state, replica, received)
    const baselines = overwrite ? [] : missedBaselines(state, replica, received)
    const contents = overwrite
      ? everythingFor(state, grant.userId)
      : { operations: textsOf(operations), baselines: textsOf(baselines) }
    const isSomething = overwrite || operations.length + baselines.length > 0
    const ackedTimestamp = this.ackedTimestamp(command, overwrite ? command.timestamp : replica.asOf)
    const asOf = ackedTimestamp ?? command.timestamp
    if (isSomething) {
      const offer = { asOf, isReset: overwrite, isPolling: !client.isRealtime, logged: replica.received }
      cursors.offer(replica.id, { ...offer, at: services.now() })
      this.offeredAsOf = asOf
    } else cursors.receive(replica.id, state.version, replica.received)
    const promised = client.isRealtime ? command.timestamp : ackedTimestamp
    if (promised !== null) this.promise(replica.id, promised)
    cursors.hear(replica.id, services.now())
    // A store (5.5, 3.6) that has never synced folds all operations that it gets, and nothing that is older and comes later is
    // ever seen in it. So while it takes what it is answered it is told that it has synced, at a time before everything. One
    // that is connected would not hear that, had it a nonce to answer: it acknowledges the last operation.
    const hasNeverSynced = command.since === null && overwrite && contents.operations.length > 0
    const hasNonce = isSomething && !(hasNeverSynced && client.isRealtime)
    client.send(
      this.response({
        ...contents,
        overwrite,
        ackedTimestamp,
        nonce: hasNonce ? Wire.nonceOf(state.generation, state.version) : undefined
      })
    )
    if (hasNeverSynced) client.send(Wire.serverAck(beforeAll({ sameVersionAs: command.timestamp as Timestamp })))
    const correctPeers = () => {
      if (!this.hasLeft) this.peers.correct()
    }
    correctPeers()
    if (client.isRealtime) services.run(Effect.delay(Effect.sync(correctPeers), CORRECTION))
    this.beginning = overwrite ? (lastTimestamp(newestFirst(state.batches), grant.userId) ?? "") : undefined
    this.cut = state.version
    this.receipts.begin(state.version)
    services.touch(room)
  }

  private response(
    content: Contents & {
      readonly overwrite: boolean
      readonly ackedTimestamp: string | null
      readonly nonce?: string | undefined
    }
  ): Message {
    const watermark = this.room.state().watermark ?? undefined
    return Wire.syncResponse({ nonce: undefined, ...content, watermark, peerPresence: this.peerPresence })
  }

  /**
   * What the client may take for its last sync: it sends again what comes after.
   *
   * A sync that is made while something is being stored does not bring that, though it is older; the client says it right
   * afterwards, in a message that may be lost. So it is acknowledged no more than what this sync brought; one that polls, and
   * whose requests overtake each other, or brings all that it has, also others', what it wrote before it last asked.
   *
   * @param asOf when it began, which is never taken back
   */
  private ackedTimestamp({ askedBefore, operations, since, ...command }: Sync, asOf: string): string | null {
    const brought = operations[operations.length - 1]?.timestamp
    if (this.early !== undefined) return latest([since, brought])
    const timestamp = command.timestamp as Timestamp
    if (since === null) {
      return latest([asOf, askedBefore ?? firstAt(millisOf(timestamp) - STORING_MILLIS, { sameVersionAs: timestamp })])
    }
    // Later than its last sync, or the next would not show whether it processed this answer.
    return latest([asOf, rightAfter(since as Timestamp, timestamp), this.client.isRealtime ? brought : askedBefore])
  }

  // ---- operations

  /**
   * Without those whose time has not come: peers could not take them. What is acknowledged stays before the first of
   * them, so that the client sends them again.
   */
  private takeTimely(
    { items, refused }: Wire.Decoded<OwnedOperation>,
    since: string | null | undefined
  ): ReadonlyArray<OwnedOperation> {
    const now = this.services.now()
    if (since !== undefined) this.early = undefined
    const first = items.findIndex(({ timestamp }) => !isTimely(timestamp, now))
    if (first !== -1) this.early ??= items[first]!.timestamp
    if (first !== -1 || refused > 0) this.client.send(Wire.forbidden)
    return first === -1 ? items : items.slice(0, first)
  }

  private storeOperations(message: Extract<Wire.ClientMessage, { _tag: "Operations" }>): Effect.Effect<void> {
    return Effect.gen({ self: this }, function* () {
      const { client, grant, room, services } = this
      if (message.operations.items.length + message.operations.refused === 0) return
      if (grant.readOnly) return client.send(Wire.forbidden)
      const operations = this.takeTimely(message.operations, undefined)
      const outcome = yield* this.submit({
        _tag: "StoreOperations",
        replicaId: message.replicaId,
        userId: grant.userId,
        type: grant.replicaType,
        operations,
        ...this.circumstances()
      })
      services.touch(room)
      if (outcome._tag === "Unavailable") {
        return client.close(CloseCode.tryAgainLater, "the storage is not available")
      }
      if (outcome._tag === "Refused" && outcome.refusal._tag !== "NothingNew") {
        return yield* this.refuseOperations(message.replicaId, outcome.refusal)
      }
      const state = room.state()
      if (operations.some((operation) => isForbidden(state, operation, grant.userId))) client.send(Wire.forbidden)
      const replica = state.replicas.get(message.replicaId)
      const { cursors } = room.local
      cursors.hear(message.replicaId, services.now())
      const last = message.operations.items.at(-1)?.timestamp
      if (client.isRealtime && last !== undefined) this.promise(message.replicaId, last)
      if (replica !== undefined && isUpToDate(state, replica, cursors.received(replica.id) ?? replica.received)) {
        cursors.receive(replica.id, state.version, replica.received)
      }
      // Requests of a client that polls overtake each other, and some are lost: one says nothing of what was written before
      // it, which the client would never send again. It sends all of it with its next sync, and that is acknowledged.
      // Nor does a message say anything of what was being stored when it was made, older than it as that may be.
      if (client.isRealtime && this.early === undefined && last !== undefined) client.send(Wire.serverAck(last))
    })
  }

  private refuseOperations(replicaId: ReplicaId, refusal: LibraryRefusal): Effect.Effect<void> {
    const { client } = this
    switch (refusal._tag) {
      case "MustReset":
        return Effect.andThen(
          this.submit({ _tag: "ForgetReplica", replicaId }),
          Effect.sync(() => client.close(CloseCode.tryAgainLater, "begin anew"))
        )
      case "NotJoined":
        // It syncs when it comes back, and brings what it wrote.
        return Effect.sync(() => client.close(CloseCode.tryAgainLater, "sync first"))
      case "TooLate":
        return Effect.void
      default:
        return Effect.sync(() => client.send(Wire.forbidden))
    }
  }

  // ---- acknowledgements

  private acknowledge({ nonce, replicaId, timestamp }: Extract<Wire.ClientMessage, { _tag: "Ack" }>): void {
    const { room, services } = this
    const state = room.state()
    const replica = state.replicas.get(replicaId)
    if (replica === undefined) return
    const { cursors } = room.local
    cursors.hear(replicaId, services.now())
    if (nonce !== undefined) {
      const version = Wire.versionOf(nonce, state.generation)
      if (version !== undefined && version <= state.version) {
        cursors.receive(replicaId, version, replica.received)
      }
    } else if (timestamp !== undefined) {
      if (this.beginning !== undefined && timestamp >= this.beginning) {
        this.beginning = undefined
        cursors.settle(replicaId)
        if (this.cut !== undefined) cursors.receive(replicaId, this.cut, replica.received)
      }
      this.promise(replicaId, timestamp)
      const version = this.receipts.acknowledge(timestamp)
      if (version !== undefined) this.receiveUpTo(version)
    }
    services.touch(room)
  }

  /** It will send nothing older. Of a clock that is far ahead that says nothing of when others write. */
  private promise(replicaId: ReplicaId, timestamp: string): void {
    if (isTimely(timestamp, this.services.now())) this.room.local.cursors.promise(replicaId, timestamp)
  }

  /** What it was told up to here it has, unless it has not yet taken what it was answered. */
  private receiveUpTo(version: number): void {
    const { replicaId, room } = this
    if (replicaId === undefined) return
    const replica = room.state().replicas.get(replicaId)
    if (replica === undefined) return
    const { cursors } = room.local
    const before = cursors.received(replicaId)
    // While even what it was answered has not arrived, what came after may not have either.
    if ((before === undefined ? replica.received : before) === null) return
    cursors.receive(replicaId, version, replica.received)
  }
}

const isAwaiting = (outcome: Outcome<LibraryRefusal>): boolean =>
  outcome._tag === "Refused" && outcome.refusal._tag === "AwaitRestore"
