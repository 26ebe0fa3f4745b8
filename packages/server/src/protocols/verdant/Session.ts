/**
 * One client of a library: takes its messages in order, and sends it answers and what other clients do. It serves a
 * WebSocket, which stays open, and a request, which is a connection that ends with its answer.
 */
import { Cause, Effect, type Scope } from "effect"
import { DELETED, type StreamEvent, streamName } from "../../domain/Stream.ts"
import type { LibraryCommand, LibraryRefusal, StoreOperations, Sync } from "../../domain/verdant/Commands.ts"
import { isRefused } from "../../domain/verdant/Decide.ts"
import type { ReplicaId } from "../../domain/verdant/Events.ts"
import { isUpToDate } from "../../domain/verdant/Missed.ts"
import type { OwnedOperation } from "../../domain/verdant/model/StoredItems.ts"
import { isOfPlausibleVersion } from "../../domain/verdant/model/Timestamp.ts"
import { isBeingReset } from "../../domain/verdant/Progress.ts"
import { ownerOfReplica } from "../../domain/verdant/ReplicaOwners.ts"
import { isNew, type LibraryState, type Replica } from "../../domain/verdant/State.ts"
import { type Batch, batchOf } from "../../domain/verdant/UnfoldedBatches.ts"
import { evaluateNow } from "../../internal/evaluateNow.ts"
import type { FrameLog } from "../../internal/FrameLog.ts"
import type { SharedBytes } from "../../internal/SharedBytes.ts"
import * as Metrics from "../../metrics/Metrics.ts"
import type { Grant } from "../../ports/Access.ts"
import type { Ask } from "../../rooms/AccessControl.ts"
import type { Arrival, FrameTraces } from "../../rooms/FrameTraces.ts"
import type { Committed, FailReason, Outcome, Subscriber } from "../../rooms/RoomProtocol.ts"
import { CloseCode } from "../Connection.ts"
import { closeFailed } from "../closeFailed.ts"
import { InFlight } from "../InFlight.ts"
import { allowedPart, NOT_READABLE } from "./AccessFilter.ts"
import { Acknowledgements } from "./Acknowledgements.ts"
import { AnswersInOrder } from "./AnswersInOrder.ts"
import type { Client } from "./Client.ts"
import { EarlyOperations } from "./EarlyOperations.ts"
import { followAcknowledged, followReceived, followRefused, type Sender } from "./FrameTrail.ts"
import { HeardWatermark } from "./HeardWatermark.ts"
import { LateOperations } from "./LateOperations.ts"
import { lastTimestamp, rebroadcastOf } from "./LibraryContent.ts"
import { OwnPresence } from "./OwnPresence.ts"
import { PresenceFeed, type PresenceFeedServices } from "./PresenceFeed.ts"
import { PromisesInOrder } from "./PromisesInOrder.ts"
import { countRefused, type RefusalServices, Refusals, refuseDeleted, refuseLibrary } from "./Refusals.ts"
import type { LibraryRoom } from "./Rooms.ts"
import { type SyncAnswer, syncAnswer } from "./SyncAnswer.ts"
import { SyncRequests } from "./SyncRequests.ts"
import * as Wire from "./Wire.ts"

export interface Session {
  /** Handles messages in order; completes when the next may be handled. */
  readonly receive: (messages: ReadonlyArray<Wire.ClientMessage>) => Effect.Effect<void>
  /**
   * Waits until every received message is answered, except a sync that waits until another replica has restored the library, and
   * a sync with a large answer.
   */
  readonly answered: Effect.Effect<void>
}

export interface Services extends PresenceFeedServices, RefusalServices {
  /** undefined: the app has no policy. */
  readonly ask: Ask | undefined
  /** How long a polling user counts as present after a poll, in milliseconds. */
  readonly presenceTtl: number
  /** The bytes of operations on their way to the log, of all sessions together. */
  readonly inFlight: SharedBytes
  /** The library needs maintenance soon. */
  readonly touch: (room: LibraryRoom) => void
  readonly frames: FrameLog
  readonly traces: FrameTraces
}

/** How often a waiting session checks whether another client has restored the library. */
const RESTORE_CHECK = "100 millis"
/** How long a client nearly always takes to process the answer to a sync. */
const CORRECTION = "2 seconds"

/** Opens a session. Once the client has synced, it is sent what happens in the library, until the scope closes. */
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
      Effect.sync(() => room.local.progress.onRipened(() => session.tellWatermark())),
      (end) => Effect.sync(end)
    )
    yield* Effect.acquireRelease(
      Effect.sync(() =>
        room.local.presence.listen({
          tell: (change) => session.peers.tell(change),
          fail: (defect) => {
            services.run(
              Effect.logError(`A session of ${streamName(room.key)} failed at a presence`, Cause.die(defect))
            )
            session.fail()
          }
        })
      ),
      (unlisten) => Effect.sync(unlisten)
    )
  }
  yield* Effect.addFinalizer(() => Effect.sync(() => session.leave()))
  return session as Session
}) satisfies (...args: never) => Effect.Effect<Session, never, Scope.Scope>

const clientsAhead = Metrics.clientsAhead.at({ protocol: "verdant", outcome: "asked" })

class LibrarySession implements Session, Subscriber {
  private readonly services: Services
  private readonly room: LibraryRoom
  private readonly client: Client
  private readonly grant: Grant
  private readonly inFlight: InFlight
  private replicaId: ReplicaId | undefined
  private readonly acknowledgements: Acknowledgements
  private readonly answers: AnswersInOrder
  readonly peers: PresenceFeed
  private readonly early: EarlyOperations
  private readonly late: LateOperations
  /** The time that the client takes for its last sync once it has processed the last answer with content. */
  private offeredAsOf: string | undefined
  private isWaiting = false
  /** When the last sync arrived, by the frame log's clock. */
  private syncReceivedAt = 0
  /** Of the messages that are being handled; undefined: nothing is traced. */
  private arrival: Arrival | undefined
  /** The users who were present at the client's last sync. */
  private peerPresence: Readonly<Record<string, Wire.UserInfo>> = {}
  private hasLeft = false
  private readonly promises: PromisesInOrder
  private readonly watermark: HeardWatermark
  private readonly refusals: Refusals
  private readonly requests: SyncRequests
  private readonly presence: OwnPresence

  constructor(services: Services, room: LibraryRoom, client: Client, grant: Grant) {
    this.services = services
    this.room = room
    this.client = client
    this.grant = grant
    this.inFlight = new InFlight(services.inFlight)
    this.refusals = new Refusals(services, client, grant)
    this.requests = new SyncRequests(services.run, client, () => this.hasLeft || client.isSentAway())
    this.presence = new OwnPresence(room.local.presence, client, grant.userId)
    this.promises = new PromisesInOrder((replicaId, timestamp) =>
      this.room.local.progress.promise(replicaId, timestamp, services.now())
    )
    this.watermark = new HeardWatermark(room.state, room.local.progress, grant)
    this.early = new EarlyOperations(services, {
      // A polling client sends them with its next sync.
      isGone: () => !client.isRealtime || this.hasLeft || client.isSentAway(),
      ask: (since) => client.send(Wire.needSince(since))
    })
    this.late = new LateOperations((since) => client.send(Wire.needSince(since)))
    this.acknowledgements = new Acknowledgements(room.state, room.local.progress)
    this.answers = new AnswersInOrder({
      turn: room.local.answering,
      run: services.run,
      hold: (piece) => client.hold(piece),
      isGone: () => client.isSentAway(),
      overflow: () => client.close(CloseCode.tryAgainLater, "too much waits for an answer"),
      fail: (defect) => {
        services.run(Effect.logError(`Answering a session of ${streamName(room.key)} failed`, Cause.die(defect)))
        this.fail()
      }
    })
    this.peers = new PresenceFeed(services, room.local.presence, (message) => client.sendVolatile(message))
  }

  get id(): string {
    return this.client.id
  }

  get answered(): Effect.Effect<void> {
    return this.inFlight.none
  }

  // ---- events of the library

  deliver({ event }: Committed): void {
    if (event.type === DELETED) return refuseDeleted(this.client)
    // A client that was not answered holds nothing of the library. Its first sync is decided against what there is then.
    if (!this.answers.isMaking && !this.acknowledgements.lacks(event.version)) return
    if (event.type === "Evicted") return this.client.close(CloseCode.goingAway, "the library was evicted")
    if (event.type === "ReplicaForgotten" && replicaOf(event) === this.replicaId) {
      return this.client.close(CloseCode.tryAgainLater, "the replica must be reset")
    }
    if (!this.answers.isMaking) return this.tell(event, this.batchOf(event))
    // A compaction may change the batch before the client hears of its operations.
    const batch = this.batchOf(event)
    this.answers.run(() => {
      if (this.acknowledgements.lacks(event.version)) this.tell(event, batch)
    })
  }

  private batchOf({ type, version }: StreamEvent): Batch | undefined {
    return type === "OperationsStored" ? batchOf(this.room.state().batches, version) : undefined
  }

  private tell(event: StreamEvent, batch: Batch | undefined): void {
    const { version } = event
    const { authorMayLack, ...data } = event.data as { readonly authorMayLack?: true; readonly watermark?: string }
    const watermark = this.watermark.rise(this.replicaId, data.watermark)
    const isOwn = replicaOf(event) === this.replicaId && authorMayLack !== true
    // The message with the operations is shared, so it names no watermark but the one of the event.
    const withThem = watermark === data.watermark ? watermark : undefined
    const isSent = batch !== undefined && !isOwn && this.sendOperations(batch, withThem)
    if (watermark !== undefined && !(isSent && watermark === withThem)) this.client.send(Wire.globalAck(watermark))
    if (!isSent) this.acknowledgements.skipped(version)
  }

  /** Promises have ripened: tells the client of a watermark that it could not hear before. */
  tellWatermark(): void {
    if (this.hasLeft || this.answers.isMaking) return
    const watermark = this.watermark.take(this.replicaId)
    if (watermark !== undefined) this.client.send(Wire.globalAck(watermark))
  }

  /** Returns whether the client may see any of the operations. */
  private sendOperations(batch: Batch, watermark: string | undefined): boolean {
    const message = rebroadcastOf(batch, this.grant.userId, watermark)
    if (message === undefined) return false
    this.client.send(message)
    this.acknowledgements.sent(batch.version, lastTimestamp(batch, this.grant.userId))
    return true
  }

  relay(): void {}

  fail(why: FailReason = "defect"): void {
    closeFailed(this.client, why)
  }

  /** The connection closed, or the client said that it disconnects. */
  leave(): void {
    if (this.hasLeft) return
    this.hasLeft = true
    this.answers.cancel()
    this.acknowledgements.end()
    if (this.client.isRealtime) {
      this.presence.leave()
      if (this.replicaId !== undefined) this.room.local.progress.leave(this.replicaId, this.offeredAsOf)
    }
    this.services.touch(this.room)
  }

  // ---- the client's messages

  receive(messages: ReadonlyArray<Wire.ClientMessage>): Effect.Effect<void> {
    const { client } = this
    const { ask, traces } = this.services
    if (traces.isOn) this.arrival = { receivedAt: traces.now() }
    if (!client.isRealtime) this.presence.expect(messages.some(({ _tag }) => _tag === "Sync"))
    const handle = (message: Wire.ClientMessage) => {
      if (client.isSentAway()) return Effect.void
      return ask === undefined ? this.handle(message) : this.handleAllowed(ask, message)
    }
    const handled = Effect.forEach(
      messages,
      (message) =>
        this.answers.isMaking && message._tag !== "Heartbeat"
          ? Effect.flatMap(this.answers.settled, () => handle(message))
          : handle(message),
      { discard: true }
    )
    return client.isRealtime
      ? handled
      : Effect.ensuring(
          handled,
          Effect.sync(() => this.showPresence())
        )
  }

  /** Handles the part of a message that the app's policy allows. */
  private handleAllowed(ask: Ask, message: Wire.ClientMessage): Effect.Effect<void> {
    const { client, services } = this
    return allowedPart(ask, this.grant, message, !client.isRealtime).pipe(
      Effect.flatMap((allowed) => {
        if (client.isSentAway()) return Effect.void
        if (allowed !== undefined && allowed !== NOT_READABLE) return this.handle(allowed)
        return Effect.sync(() => {
          countRefused("AccessPolicy")
          if (services.frames.isOn) followRefused(services.frames, this.sender, message, "AccessPolicy")
          if (allowed === NOT_READABLE) refuseLibrary(client)
          else this.refusals.forbid()
        })
      }),
      Effect.catchTag("AccessUndecided", ({ message }) =>
        Effect.sync(() => client.close(CloseCode.tryAgainLater, message))
      )
    )
  }

  /** The sender, as the frame log names it. */
  private get sender(): Sender {
    const { libraryId, streamId } = this.room.key
    return { library: libraryId, stream: streamId, replica: this.replicaId, session: this.client.id }
  }

  private handle(message: Wire.ClientMessage): Effect.Effect<void> {
    const { client, room, services } = this
    if (services.frames.isOn) followReceived(services.frames, this.sender, message)
    switch (message._tag) {
      case "NotJson":
        countRefused("NotJson")
        return Effect.sync(() => client.close(CloseCode.notUtf8OrJson, "a message is JSON text"))
      case "Malformed":
        countRefused("Malformed")
        return Effect.sync(() => client.close(CloseCode.policy, message.reason))
      case "NoMemory":
        return Effect.sync(() => this.fail("memory"))
      case "Unknown":
        return Effect.void
      case "Heartbeat":
        // In its turn: its answer says that the server has dealt with all that came before.
        return Effect.map(this.inFlight.none, () => {
          if (this.replicaId !== undefined) room.local.progress.hear(this.replicaId, services.now())
          client.send(Wire.heartbeatResponse)
        })
    }
    const owner = ownerOfReplica(room.state(), message.replicaId)
    if (owner !== undefined && owner !== this.grant.userId) {
      return Effect.sync(() => {
        countRefused("AnothersReplica")
        if (services.frames.isOn) followRefused(services.frames, this.sender, message, "AnothersReplica")
        this.refusals.forbid()
      })
    }
    switch (message._tag) {
      case "Sync":
        return this.sync(message)
      case "Operations":
        return this.storeOperations(message)
      case "Ack": {
        const acknowledge = Effect.sync(() => {
          const promised = this.acknowledgements.acknowledge(message.replicaId, message, services.now())
          // It may still send what came too late.
          if (promised !== undefined && !this.late.areMissing) this.promises.make(message.replicaId, promised)
          this.askForLate()
          services.touch(room)
        })
        // Another process made the answer, and this one may not have read its content yet.
        return this.acknowledgements.isAhead(message)
          ? Effect.andThen(this.submit({ _tag: "Look" }), acknowledge)
          : acknowledge
      }
      case "Presence":
        return Effect.sync(() => {
          const { internal, presence, replicaId } = message
          this.arrive()
          this.presence.update({ replicaId, presence, internal })
        })
      case "Disconnecting":
        return Effect.sync(() => {
          if (this.replicaId !== undefined) room.local.progress.hear(this.replicaId, services.now())
          this.leave()
          // The client may mean an earlier connection, and would then wait on this one for ever.
          if (client.isRealtime) client.close(CloseCode.goingAway, "disconnecting")
        })
    }
  }

  private showPresence(): void {
    this.presence.show(this.hasLeft)
  }

  private arrive(): void {
    if (this.hasLeft) return
    this.presence.arrive(this.services.now() + this.services.presenceTtl)
    this.services.touch(this.room)
  }

  private submit(command: LibraryCommand): Effect.Effect<Outcome<LibraryRefusal>> {
    return Effect.callback((resume) => {
      const respond = (outcome: Outcome<LibraryRefusal>) => {
        // In the same turn, so that later events are sent after the answer.
        const answered =
          command._tag === "Sync"
            ? evaluateNow(() => this.answers.run(() => this.answerSync(command, outcome)))
            : Effect.void
        resume(Effect.as(answered, outcome))
      }
      this.room.submit(command, this.client.id, respond, this.arrival)
    })
  }

  // ---- sync

  private sync(message: Extract<Wire.ClientMessage, { _tag: "Sync" }>): Effect.Effect<void> {
    return Effect.gen({ self: this }, function* () {
      const { client, grant, room } = this
      const { progress } = room.local
      const { replicaId, resyncAll, since, timestamp } = message
      if (!this.isPlausible({ timestamp }) || (since !== null && !this.isPlausible({ timestamp: since }))) {
        return this.sendAwayImplausible()
      }
      this.replicaId = replicaId
      this.requests.received(since)
      this.syncReceivedAt = this.services.frames.now()
      this.hasLeft = false
      this.arrive()
      const isPolling = !client.isRealtime
      if (isBeingReset(room.state(), { replicaId, timestamp, since, isPolling }, room.local.context())) {
        return this.askAgain(timestamp)
      }
      progress.confirm(replicaId, since)
      const askedBefore = progress.ask(replicaId, timestamp, this.services.now())
      const operations = this.takeTimely(this.takePlausible(message.operations), since)
      this.peerPresence = yield* this.peers.gather(this.presence.held)
      if (!client.isRealtime) {
        for (const gone of room.local.presence.goneSince(replicaId)) {
          client.send(Wire.presenceOffline(gone.userId, gone.replicaId))
        }
      }
      const command: Sync = {
        ...{ _tag: "Sync", replicaId, userId: grant.userId, type: grant.replicaType, timestamp, since, askedBefore },
        ...{ resyncAll, isPolling, operations, baselines: message.baselines.items },
        ...(grant.role !== undefined && { role: grant.role })
      }
      const isReadOnly = grant.readOnly && brings(command)
      if (message.baselines.refused > 0) countRefused("Malformed")
      if (isReadOnly) countRefused("ReadOnly")
      if (message.baselines.refused > 0 || isReadOnly) this.refusals.forbid()
      const outcome = yield* this.submitSync(command)
      // A connected client goes on to other messages, which wait for the answer themselves.
      if (!client.isRealtime) yield* this.answers.settled
      if (!isAwaiting(outcome) || this.isWaiting) return
      this.isWaiting = true
      // A poll is answered without the library after a while, and the client polls again.
      if (!client.isRealtime) return yield* this.awaitRestore(command)
      // The session goes on to other messages: a connected client sends none that depends on the answer.
      this.services.run(this.awaitRestore(command))
    })
  }

  /**
   * Submits a sync until the library has forgotten as many truant replicas as it takes for this one to join, and has taken what
   * a restored log lost.
   */
  private submitSync(command: Sync): Effect.Effect<Outcome<LibraryRefusal>> {
    return Effect.repeat(this.submit(command), { while: isDecidedAgain })
  }

  private awaitRestore(command: Sync): Effect.Effect<void> {
    return Effect.gen({ self: this }, function* () {
      do {
        yield* Effect.sleep(RESTORE_CHECK)
        if (this.hasLeft || this.client.isSentAway()) break
      } while (isAwaiting(yield* this.submitSync(command)))
      this.isWaiting = false
      if (!this.client.isRealtime) yield* this.answers.settled
    })
  }

  private answerSync(command: Sync, outcome: Outcome<LibraryRefusal>): void {
    const { client, room } = this
    // An answer that reaches nobody was neither sent nor received.
    if (client.isSentAway()) return room.local.progress.miss(command.replicaId)
    if (outcome._tag === "Unavailable") return client.close(CloseCode.tryAgainLater, "the storage is not available")
    if (outcome._tag === "Failed") return this.fail()
    if (outcome._tag === "Refused") {
      switch (outcome.refusal._tag) {
        case "NothingNew":
          if (!this.grant.readOnly) this.tellRefused(command.operations)
          return this.answer(command, false)
        case "ImplausibleVersion":
          return this.sendAwayImplausible()
        case "RestoreAsked":
          if (!isNew(room.state())) this.tellAhead()
          return this.requests.forAll()
        case "QuotaReached":
          this.refusals.forbid()
          // Without an answer, a replica of the library would not hear what others write.
          return room.state().replicas.has(command.replicaId) ? this.answer(command, false, true) : this.showPresence()
        case "AwaitRestore":
          return this.showPresence()
        case "LibraryDeleted":
          return refuseDeleted(client)
        case "AlreadyBeingReset":
          return this.askAgain(command.timestamp)
        default:
          this.refusals.forbid()
          return this.showPresence()
      }
    }
    const { event } = outcome
    if (event.type === "RestoreLeased") return this.requests.forAll()
    if (isDecidedAgain(outcome)) return
    const isReset = event.type === "ReplicaJoined" && "reset" in event.data && event.data.reset === true
    const isUntaken = event.type === "ReplicaJoined" && !isReset && brings(command) && isNew(room.state())
    if (event.type === "OperationsStored") this.tellRefused(command.operations)
    if (isUntaken && !this.grant.readOnly) {
      countRefused("NotTaken")
      this.refusals.forbid()
    }
    this.answer(command, isReset, isUntaken && !this.grant.readOnly)
  }

  /** A client that this connection reset goes on by itself. */
  private askAgain(timestamp: string): void {
    if (!this.acknowledgements.isResetPending) this.requests.again(timestamp)
  }

  /** Counts a replica of a log that was restored, and names it to the operator. */
  private tellAhead(): void {
    if (this.requests.isAskedForAll) return
    clientsAhead.add()
    const line = Effect.logInfo(
      "A replica may know more than the log, which was restored, and was asked for all that it has."
    )
    const which = { stream: streamName(this.room.key), user: this.grant.userId, replica: this.replicaId ?? "" }
    this.services.run(Effect.annotateLogs(line, which))
  }

  private tellRefused(operations: ReadonlyArray<OwnedOperation>): void {
    const state = this.room.state()
    const isMissing = (operation: OwnedOperation) => isRefused(state, operation, this.grant.userId)
    if (!operations.some(isMissing)) return
    countRefused("NotTaken")
    this.refusals.forbid()
  }

  /** `isUntaken`: the library had no room for all that the client brought, and took nothing. */
  private answer(command: Sync, isReset: boolean, isUntaken = false): void {
    const { client, room } = this
    const state = room.state()
    const { progress } = room.local
    const replica = state.replicas.get(command.replicaId)
    if (replica === undefined) return this.refusals.forbid()
    const received = progress.receivedBy(state, replica) ?? replica.joinedAt
    this.requests.answered()
    this.answers.answer({
      steps: syncAnswer(state, command, replica, { isReset, isUntaken, received, early: this.early.since }),
      send: (answer) => {
        if (room.isDropped()) return this.fail()
        // A poll does not hear of an eviction. The content is not the library's any more.
        if (room.state().generation !== state.generation) {
          return client.close(CloseCode.tryAgainLater, "the library was evicted")
        }
        this.sendAnswer(answer, { command, isReset, replica, state })
      },
      drop: () => progress.miss(command.replicaId)
    })
  }

  private sendAnswer(
    answer: SyncAnswer,
    {
      command,
      isReset,
      replica,
      state
    }: {
      readonly command: Sync
      readonly isReset: boolean
      readonly replica: Replica
      readonly state: LibraryState
    }
  ): void {
    const { client, room, services } = this
    const { progress } = room.local
    const { ackedTimestamp, asOf, nonce, watermark } = answer
    const now = services.now()
    this.requests.answered()
    if (answer.hasContent) {
      progress.offer(state, replica, { asOf, isReset, isPolling: command.isPolling, at: now })
      this.offeredAsOf = asOf
    } else progress.receive(state, replica, state.version)
    if (answer.promised !== null) progress.promise(replica.id, answer.promised, now)
    progress.hear(replica.id, now)
    client.send(
      Wire.syncResponse({
        ...answer.contents,
        ...{ overwrite: isReset, ackedTimestamp, nonce, watermark },
        peerPresence: this.peerPresence
      })
    )
    if (answer.syncedAs !== undefined) client.send(Wire.serverAck(answer.syncedAs))
    if (services.frames.isOn)
      followAcknowledged(services.frames, this.sender, command, state.version, this.syncReceivedAt)
    this.showPresence()
    const correctPeers = () => {
      if (!this.hasLeft) this.peers.correct()
    }
    correctPeers()
    if (client.isRealtime) services.run(Effect.delay(Effect.sync(correctPeers), CORRECTION))
    this.acknowledgements.answered(replica.id, state.version, {
      resetEnd: answer.resetEnd,
      isAwaited: nonce !== undefined
    })
    services.touch(room)
  }

  // ---- operations

  private isPlausible({ timestamp }: { readonly timestamp: string }): boolean {
    return isOfPlausibleVersion(timestamp, this.room.state().newest)
  }

  private sendAwayImplausible(): void {
    countRefused("ImplausibleVersion")
    this.client.close(CloseCode.policy, "the schema version of a timestamp is far above the library's")
  }

  /** Counts operations of a schema version that no app has as refused. */
  private takePlausible({ items, refused }: Wire.Decoded<OwnedOperation>): Wire.Decoded<OwnedOperation> {
    const plausible = items.filter((operation) => this.isPlausible(operation))
    return { items: plausible, refused: refused + items.length - plausible.length }
  }

  /**
   * The operations before the first one whose time is too far ahead, which peers could not take. Acknowledgements stay before
   * that one, so that the client sends it again.
   */
  private takeTimely(
    { items, refused }: Wire.Decoded<OwnedOperation>,
    since: string | null | undefined
  ): ReadonlyArray<OwnedOperation> {
    if (since !== undefined) {
      this.early.clear()
      this.late.clear()
    }
    const timely = this.early.take(items)
    const isAhead = timely.length < items.length
    if (isAhead) countRefused("TimeAhead")
    if (refused > 0) countRefused("Malformed")
    if (isAhead || refused > 0) this.refusals.forbid()
    return timely
  }

  /**
   * Submits operations and does not wait for their commit, so that what this client and others send next is decided in the
   * order of its arrival. The room answers in the same order.
   */
  private storeOperations(message: Extract<Wire.ClientMessage, { _tag: "Operations" }>): Effect.Effect<void> {
    return Effect.suspend(() => {
      const { client, grant, inFlight, room, services } = this
      if (message.operations.items.length + message.operations.refused === 0) return Effect.void
      const receivedAt = services.frames.now()
      if (grant.readOnly) {
        countRefused("ReadOnly")
        if (services.frames.isOn) followRefused(services.frames, this.sender, message, "ReadOnly")
        this.refusals.forbid()
        return Effect.void
      }
      const plausible = this.takePlausible(message.operations)
      const operations = this.takeTimely(plausible, undefined)
      // Requests of a polling client overtake each other, and some are lost. An acknowledgement would cover older changes of
      // a lost one, which the client would never send again. Its next sync brings all of them, and is acknowledged.
      const isAcknowledged = client.isRealtime && this.early.since === undefined
      const last = plausible.items.at(-1)?.timestamp
      const length = operations.reduce((sum, { text }) => sum + text.length, 0)
      const command: StoreOperations = {
        _tag: "StoreOperations",
        replicaId: message.replicaId,
        userId: grant.userId,
        type: grant.replicaType,
        ...(grant.role !== undefined && { role: grant.role }),
        operations
      }
      inFlight.begin(length)
      this.promises.begin()
      const respond = (outcome: Outcome<LibraryRefusal>) => {
        try {
          // A sync that waited for a restoration may be answered at this moment.
          this.answers.run(() => {
            const isStored = this.answerOperations(command, outcome, last)
            this.promises.end(isStored)
            if (!isStored) return
            // It would cover the operations that were refused, too.
            if (isAcknowledged && last !== undefined && !this.late.areMissing) client.send(Wire.serverAck(last))
            const { frames } = services
            if (frames.isOn) followAcknowledged(frames, this.sender, message, room.state().version, receivedAt)
          })
        } finally {
          // A heartbeat that waits for this is answered afterwards.
          inFlight.end(length)
        }
      }
      room.submit(command, client.id, respond, this.arrival)
      return client.isRealtime ? inFlight.belowLimit : inFlight.none
    })
  }

  /** Returns whether the operations are stored, or need not be. `last`: the timestamp of the newest one that the client sent. */
  private answerOperations(
    { operations, replicaId }: StoreOperations,
    outcome: Outcome<LibraryRefusal>,
    last: string | undefined
  ): boolean {
    const { client, room, services } = this
    services.touch(room)
    if (outcome._tag === "Unavailable") client.close(CloseCode.tryAgainLater, "the storage is not available")
    if (outcome._tag === "Failed") this.fail()
    if (outcome._tag === "Unavailable" || outcome._tag === "Failed") return false
    if (outcome._tag === "Refused" && outcome.refusal._tag !== "NothingNew") {
      this.refuseOperations(operations, outcome.refusal)
      return false
    }
    if (outcome._tag === "Stored" && outcome.event.type === "ReplicaForgotten") {
      countRefused("MustReset")
      client.close(CloseCode.tryAgainLater, "the replica must be reset")
      return false
    }
    const state = room.state()
    this.tellRefused(operations)
    const replica = state.replicas.get(replicaId)
    const { progress } = room.local
    const now = services.now()
    progress.hear(replicaId, now)
    // A client that has gone may come back with older operations, which were lost on their way.
    const promises = client.isRealtime && !this.hasLeft && !client.isSentAway() && !this.late.areMissing
    if (promises && last !== undefined) progress.promise(replicaId, last, now)
    if (replica !== undefined && isUpToDate(state, replica, progress.receivedBy(state, replica))) {
      progress.receive(state, replica, state.version)
    }
    return true
  }

  private refuseOperations(operations: ReadonlyArray<OwnedOperation>, refusal: LibraryRefusal): void {
    const { client } = this
    switch (refusal._tag) {
      case "NotJoined":
        // The client syncs when it comes back, and sends the operations again.
        return client.close(CloseCode.tryAgainLater, "sync first")
      case "TooLate":
        // A polling client sends them with its next sync.
        if (!client.isRealtime || operations[0] === undefined) return
        this.late.refused(operations[0].timestamp)
        return this.askForLate()
      case "LibraryDeleted":
        return refuseDeleted(client)
      default:
        return this.refusals.forbid()
    }
  }

  /** A sync with late operations resets a replica that lacks something. */
  private askForLate(): void {
    if (!this.late.areMissing || this.acknowledgements.isResetPending || this.replicaId === undefined) return
    const state = this.room.state()
    const replica = state.replicas.get(this.replicaId)
    if (replica === undefined) return
    if (isUpToDate(state, replica, this.room.local.progress.receivedBy(state, replica))) this.late.askOnce()
  }
}

const replicaOf = ({ data }: StreamEvent): string | undefined => (data as { readonly replicaId?: string }).replicaId

const brings = ({ baselines, operations }: Sync): boolean => operations.length + baselines.length > 0

/** Whether the same sync is decided again: another replica made room for this one, or this one brought all that it has. */
const isDecidedAgain = (outcome: Outcome<LibraryRefusal>): boolean =>
  outcome._tag === "Stored" &&
  (outcome.event.type === "ReplicaForgotten" ||
    (outcome.event.type === "OperationsStored" && "sentAll" in outcome.event.data))

const isAwaiting = (outcome: Outcome<LibraryRefusal>): boolean =>
  outcome._tag === "Refused" && outcome.refusal._tag === "AwaitRestore"
