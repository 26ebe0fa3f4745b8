/**
 * One client on one document: its frames in, in the order they came; its acknowledgements, refusals and everybody
 * else's events out, in one order for all.
 */
import { Effect, type Fiber, type Scope, Semaphore } from "effect"
import { blake2b256 } from "../../domain/Blake2b.ts"
import type { DocumentId, SnapshotId } from "../../domain/Ids.ts"
import type { DocumentRefusal } from "../../domain/secsync/Commands.ts"
import { fromStreamEvent } from "../../domain/secsync/Events.ts"
import { covers } from "../../domain/secsync/Proofs.ts"
import { onScopeClose } from "../../internal/finalizers.ts"
import type { Access, Action, Grant } from "../../ports/Access.ts"
import { EventLog, type StorageUnavailable } from "../../ports/EventLog.ts"
import type { Committed } from "../../rooms/RoomProtocol.ts"
import type { Tail } from "../../rooms/TailCache.ts"
import type { Signatures } from "../../signatures/Signatures.ts"
import { CloseCode, type Connection } from "../Connection.ts"
import type { Frame } from "../Frame.ts"
import { DeliveryPause, PATIENCE_WITH_DOCUMENT, PATIENCE_WITH_OWN_SNAPSHOT, type Settler } from "./DeliveryPause.ts"
import {
  completeFrame,
  documentOf,
  evictedOf,
  heldAfterLoading,
  isSentUpdatesAlone,
  type Known,
  loadContent,
  refusedContent
} from "./DocumentContent.ts"
import { DocumentDelivery, type DocumentObserver } from "./DocumentDelivery.ts"
import { InFlight } from "./InFlight.ts"
import type { Holder } from "./RestoreCoordinator.ts"
import type { DocumentRoom } from "./Rooms.ts"
import { UpdateReplies } from "./UpdateReplies.ts"
import * as Wire from "./Wire.ts"
import { type Reservation, reservationMessage } from "./WriteReservations.ts"

export interface SessionRequest {
  readonly grant: Grant
  readonly documentId: DocumentId
  readonly mode: "complete" | "delta"
  readonly known: Known
}

/** Turns in a row after which a client is taken to race with another one that writes snapshots only. */
const TURNS_OF_A_RACE = 3

export interface Session {
  /** Handles text frames in their order; done when the next may be handled. */
  readonly receive: (texts: ReadonlyArray<string>) => Effect.Effect<void, StorageUnavailable>
  /** Waits until what was received is answered. */
  readonly answered: Effect.Effect<void>
}

/** What sessions are made of. */
export interface Services {
  readonly access: Access["Service"]
  readonly signatures: Signatures["Service"]
  readonly log: EventLog["Service"]
  readonly decode: (text: string) => Wire.ClientMessage
  readonly maxUpdates: number
  readonly now: () => number
  readonly run: (effect: Effect.Effect<void>) => Fiber.Fiber<void>
}

export const refuseAccess = (connection: Connection): void => {
  connection.send(Wire.unauthorized)
  connection.close(CloseCode.forbidden, "not allowed by this token")
}

/** Sends the document, and then what happens to it until the scope closes. */
export const openSession = Effect.fnUntraced(function* (
  services: Services,
  room: DocumentRoom,
  connection: Connection,
  request: SessionRequest
) {
  const session = new DocumentSession(services, room, connection, request)
  yield* session.open()
  return session satisfies Session
})

/** A class, as there may be ten thousand of them that have nothing to do. */
class DocumentSession implements Session, Holder, DocumentObserver, Settler {
  private readonly services: Services
  private readonly room: DocumentRoom
  private readonly connection: Connection
  private readonly request: SessionRequest
  private readonly feed: DocumentDelivery
  private readonly answers: UpdateReplies
  private readonly settling: DeliveryPause
  private readonly inFlight = new InFlight()
  private held: SnapshotId | undefined
  /** The last snapshot that the client was told of and took; its own among them. */
  private told: SnapshotId | undefined
  /** It was given the turn, as its snapshot was refused, and has not written since. */
  private isRefused = false
  /** Turns in a row: nothing of this connection was stored outside of them. */
  private turns = 0
  /** The document was evicted when the client came, and the client knows something of it, but not all. */
  private isBehind = false
  /** A document is sent and what came after it released before the next is read. */
  private documentTurn: Semaphore.Semaphore | undefined

  constructor(services: Services, room: DocumentRoom, connection: Connection, request: SessionRequest) {
    this.services = services
    this.room = room
    this.connection = connection
    this.request = request
    this.answers = new UpdateReplies(room, connection)
    this.feed = new DocumentDelivery(room, connection, this)
    this.settling = new DeliveryPause(this, services.run)
  }

  get answered(): Effect.Effect<void> {
    return this.inFlight.none
  }

  // ---- as one that may be asked to restore the document

  holds(): SnapshotId | undefined {
    return this.held
  }

  isReady(): boolean {
    return !this.feed.isHolding()
  }

  ask(): void {
    this.answers.requireSnapshot(this.held ?? "", 0)
  }

  // ---- what the client is told

  open(): Effect.Effect<void, StorageUnavailable, Scope.Scope> {
    return Effect.gen({ self: this }, function* () {
      const { feed, request, room } = this
      yield* room.subscribe(feed)
      yield* onScopeClose(() => this.leave())
      room.local.restoration.join(this)
      const { snapshotId } = request.known
      // Another process may have stored what it knows.
      const read =
        snapshotId === undefined || snapshotId === room.state().active?.snapshotId ? room.tail : room.newestTail
      const tail = yield* feed.sendDocument((tail) => this.documentFrame(tail), read)
      this.held = heldAfterLoading(tail, request.known)
      this.told = documentOf(tail).snapshot?.snapshotId ?? request.known.snapshotId
      this.isBehind = evictedOf(tail) !== undefined && this.held === undefined && request.known.snapshotId !== undefined
      this.settle(tail)
    })
  }

  private leave(): void {
    const { restoration, turn } = this.room.local
    this.settling.heard()
    restoration.leave(this)
    turn.release(this.connection.id)
  }

  /** Of every event after the document; true: the client is not sent this one. */
  observe({ event }: Committed): boolean {
    if (!event.checkpoint) return false
    const decoded = fromStreamEvent(event)
    if (decoded._tag !== "SnapshotStored") return false
    this.held = decoded.snapshotId
    // With another one on its way, the client ignores that this one was saved: until that other is refused, and brings
    // it up to date, it could make nothing of what follows.
    const isIgnored = event.origin === this.connection.id && this.answers.mayHaveSeveral()
    if (isIgnored) this.settling.begin(PATIENCE_WITH_OWN_SNAPSHOT)
    else this.told = decoded.snapshotId
    this.answers.snapshotStored()
    const reloads = this.isBehind && event.origin !== this.connection.id
    this.isBehind = false
    if (reloads) {
      // To this client the snapshot does not follow from what it knows: it needs the line of proofs as well.
      this.feed.hold()
      this.services.run(this.reload())
    }
    return reloads
  }

  hold(): void {
    this.feed.hold()
  }

  release(): void {
    this.feed.release()
    this.room.local.restoration.offer()
  }

  private documentFrame(tail: Tail): Effect.Effect<Frame, StorageUnavailable> {
    const { known, mode } = this.request
    if (known.snapshotId === undefined) return Effect.sync(() => completeFrame(tail))
    return loadContent(this.room.key, documentOf(tail), mode, known).pipe(
      Effect.map((content) => Wire.contentFrame("document", content)),
      Effect.provideService(EventLog, this.services.log)
    )
  }

  private sendAnew(
    frameOf: (tail: Tail) => Effect.Effect<Frame, StorageUnavailable>,
    then: (tail: Tail) => void
  ): Effect.Effect<void, StorageUnavailable> {
    this.documentTurn ??= Semaphore.makeUnsafe(1)
    return Effect.sync(() => this.feed.hold()).pipe(
      Effect.andThen(this.feed.sendDocument(frameOf)),
      Effect.map((tail) => {
        this.told = documentOf(tail).snapshot?.snapshotId ?? this.told
        then(tail)
      }),
      this.documentTurn.withPermit
    )
  }

  private reload(): Effect.Effect<void> {
    return this.sendAnew(
      (tail) => this.documentFrame(tail),
      (tail) => this.settle(tail)
    ).pipe(
      Effect.catch(() =>
        Effect.sync(() => this.connection.close(CloseCode.tryAgainLater, "the storage is not available"))
      )
    )
  }

  /** After a document: a client queues one that has a snapshot late. */
  private settle(tail: Tail): void {
    const { snapshot } = documentOf(tail)
    if (snapshot === undefined || isSentUpdatesAlone(snapshot.snapshotId, this.request)) this.release()
    else this.settling.begin(PATIENCE_WITH_DOCUMENT)
  }

  // ---- what the client says

  receive(texts: ReadonlyArray<string>): Effect.Effect<void, StorageUnavailable> {
    return Effect.gen({ self: this }, function* () {
      const messages = texts.map(this.services.decode)
      const genuine = yield* this.verifyAll(messages)
      for (const [i, message] of messages.entries()) {
        if (this.connection.isSentAway()) return
        yield* this.receiveMessage(message, genuine[i] ?? false)
      }
    })
  }

  /** For each message, whether its signature is; what is none has none. */
  private verifyAll(messages: ReadonlyArray<Wire.ClientMessage>): Effect.Effect<ReadonlyArray<boolean>> {
    const signed = messages.flatMap((message) => ("signed" in message ? [message.signed] : []))
    if (signed.length === 0) return Effect.succeed([])
    return Effect.map(this.services.signatures.verify(signed), (genuine) => {
      let next = 0
      return messages.map((message) => "signed" in message && genuine[next++] === true)
    })
  }

  private receiveMessage(message: Wire.ClientMessage, isGenuine: boolean): Effect.Effect<void, StorageUnavailable> {
    if (!this.settling.heard()) return this.handle(message, isGenuine)
    // A snapshot that is refused is answered before what follows.
    if (message._tag !== "Snapshot") this.release()
    return Effect.map(this.handle(message, isGenuine), () => {
      if (!this.settling.isUnderWay()) this.release()
    })
  }

  private handle(message: Wire.ClientMessage, isGenuine: boolean): Effect.Effect<void, StorageUnavailable> {
    const { connection } = this
    switch (message._tag) {
      case "NotJson":
        return Effect.sync(() => connection.close(CloseCode.notUtf8OrJson, "a frame is JSON text"))
      case "NotAMessage":
        return Effect.sync(() => connection.close(CloseCode.policy, "not a snapshot, update or ephemeral message"))
      case "MalformedSnapshot":
        return Effect.sync(() => connection.send(Wire.snapshotSaveFailed))
      case "MalformedUpdate":
        return Effect.sync(() => connection.send(Wire.updateSaveFailed(message.snapshotId, message.clock, false)))
      default:
        return Effect.flatMap(
          this.services.access.allows(this.request.grant, actionOf(message, this.request.documentId)),
          (isAllowed) =>
            isAllowed ? this.handleSigned(message, isGenuine) : Effect.sync(() => refuseAccess(connection))
        )
    }
  }

  private handleSigned(message: SignedMessage, isGenuine: boolean): Effect.Effect<void, StorageUnavailable> {
    const { connection } = this
    switch (message._tag) {
      case "Snapshot":
        return isGenuine ? this.receiveSnapshot(message) : Effect.sync(() => connection.send(Wire.snapshotSaveFailed))
      case "Update":
        return isGenuine
          ? this.receiveUpdate(message)
          : Effect.sync(() => connection.send(Wire.updateSaveFailed(message.refSnapshotId, message.clock, false)))
      case "Ephemeral":
        return Effect.sync(() => {
          if (!isGenuine) connection.close(CloseCode.policy, "an ephemeral message is not signed by its key")
          else if (message.documentId !== this.request.documentId)
            connection.close(CloseCode.policy, "another document's message")
          else this.room.relay(Wire.ephemeralFrame(message.payload), this.feed)
        })
    }
  }

  private receiveUpdate(message: Wire.UpdateMessage): Effect.Effect<void> {
    return Effect.gen({ self: this }, function* () {
      const { answers, connection, inFlight, room } = this
      yield* room.local.turn.await(connection.id)
      const command = {
        _tag: "StoreUpdate",
        documentId: message.documentId,
        refSnapshotId: message.refSnapshotId,
        pubKey: message.pubKey,
        clock: message.clock,
        payload: message.payload,
        payloadHash: blake2b256(message.payload),
        snapshotDueAfter: answers.wasAskedToReplace(message.refSnapshotId)
          ? Number.POSITIVE_INFINITY
          : this.services.maxUpdates
      } as const
      inFlight.begin(message.payload.length)
      room.submit(command, connection.id, (outcome) => {
        answers.answer(message, outcome, this)
        if (outcome._tag === "Stored") this.turns = 0
        inFlight.end(message.payload.length)
      })
      yield* inFlight.belowLimit
    })
  }

  private receiveSnapshot(message: Wire.SnapshotMessage): Effect.Effect<void, StorageUnavailable> {
    return Effect.gen({ self: this }, function* () {
      const { connection, feed, room } = this
      yield* this.letOthersRestore(message)
      yield* room.local.turn.await(connection.id)
      const used = (yield* this.services.log.readKeyed(room.key, message.snapshotId)) !== undefined
      const command = {
        ...message,
        _tag: "StoreSnapshot",
        payloadHash: blake2b256(message.payload),
        used,
        sentEverything: this.held === message.parentSnapshotId
      } as const
      const refusal = yield* Effect.callback<DocumentRefusal | undefined>((resume) => {
        room.submit(command, connection.id, (outcome) => {
          // Answered in the same turn: the next frame may be somebody's update to this very snapshot.
          if (outcome._tag === "Stored" || (outcome._tag === "Refused" && outcome.refusal._tag === "AlreadyStored")) {
            connection.send(Wire.snapshotSaved(message.snapshotId))
            if (outcome._tag === "Refused") room.local.turn.release(connection.id)
            this.turns = this.isRefused ? this.turns + 1 : 0
            this.isRefused = false
            resume(Effect.undefined)
          } else if (outcome._tag === "Unavailable") {
            connection.send(Wire.snapshotSaveFailed)
            connection.close(CloseCode.tryAgainLater, "the storage is not available")
            resume(Effect.undefined)
          } else {
            if (carriesContent(outcome.refusal)) {
              feed.hold()
              if (room.state().active !== undefined) this.goFirst()
            }
            resume(Effect.succeed(outcome.refusal))
          }
        })
      })
      if (refusal === undefined) return
      if (!carriesContent(refusal)) return connection.send(Wire.snapshotSaveFailed)
      yield* this.sendAnew(
        (tail) => this.refusedFrame(message, tail),
        () => this.release()
      )
    })
  }

  private refusedFrame(message: Wire.SnapshotMessage, tail: Tail): Effect.Effect<Frame, StorageUnavailable> {
    const document = documentOf(tail)
    if (document.snapshot === undefined) return Effect.succeed(Wire.snapshotSaveFailed)
    const { parentSnapshotId, parentSnapshotUpdateClocks } = message
    return refusedContent(this.room.key, document, parentSnapshotId, parentSnapshotUpdateClocks, this.told).pipe(
      Effect.map((content) => Wire.contentFrame("snapshot-save-failed", content)),
      Effect.provideService(EventLog, this.services.log)
    )
  }

  private goFirst(): void {
    const at = this.services.now()
    const reservation: Reservation = { id: this.connection.id, at, writes: this.turns < TURNS_OF_A_RACE ? 1 : 2 }
    this.isRefused = true
    this.room.local.turn.reserve(reservation)
    this.room.tell(reservationMessage(reservation))
  }

  /**
   * After an eviction, a snapshot without all of what was evicted would drop what other clients still have, and they
   * could not follow it. While one that has all is connected, and so was asked, it goes first.
   */
  private letOthersRestore(message: Wire.SnapshotMessage): Effect.Effect<void> {
    const { evicted } = this.room.state()
    if (evicted === undefined) return Effect.void
    const hasAll =
      message.parentSnapshotId === evicted.snapshot.snapshotId &&
      covers(message.parentSnapshotUpdateClocks, evicted.clocks)
    // Who was sent all is refused and tries again with it at once.
    const canHaveAll = this.held === evicted.snapshot.snapshotId
    return hasAll || canHaveAll ? Effect.void : this.room.local.restoration.awaitOthers(this)
  }
}

type SignedMessage = Wire.SnapshotMessage | Wire.UpdateMessage | Wire.EphemeralMessage

/** Refusals whose answer brings the author up to date. */
const carriesContent = (refusal: DocumentRefusal): boolean =>
  refusal._tag === "SnapshotOutdated" || refusal._tag === "SnapshotMissesUpdates" || refusal._tag === "SnapshotIdUsed"

const actionOf = (message: SignedMessage, documentId: DocumentId): Action => {
  const { pubKey } = message
  switch (message._tag) {
    case "Snapshot":
      return { _tag: "WriteSnapshot", documentId, pubKey, additionalServerData: message.additionalServerData }
    case "Update":
      return { _tag: "WriteUpdate", documentId, pubKey }
    case "Ephemeral":
      return { _tag: "SendEphemeralMessage", documentId, pubKey }
  }
}
