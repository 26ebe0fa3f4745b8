/**
 * Sends one client the document as of some version, then every later event once and in order. Events are held back in four
 * cases:
 * - A document is being read. The events that it does not contain belong behind it.
 * - A document with a snapshot was sent. The client queues it late, and events that follow at once would overtake it
 *   (docs/decisions/0003-holding-back-after-a-document.md).
 * - The client's own snapshot was stored, and another of its snapshots may be on its way. The client ignores the first one
 *   and could not apply the events that follow (docs/decisions/0006-several-snapshots-on-their-way.md).
 * - A refused snapshot is being answered. The answer contains the events up to its version.
 *
 * A client that knows more than the log, which was restored from a backup, is asked for a snapshot once it has the document.
 * If the log does not hold even its snapshot, the client is sent an empty document, keeps what it has, and either brings that
 * or waits: it is sent nothing and answered nothing until an operator says that the log was restored.
 *
 * The document is sent a second time if the client had only a part of an evicted document and another client restores it:
 * the restoring snapshot alone would not show the client that it follows from what it has.
 */
import { Effect, type Fiber, Semaphore } from "effect"
import type { SnapshotId } from "../../domain/Ids.ts"
import { DELETED, type StreamEvent } from "../../domain/Stream.ts"
import { mayComeBack } from "../../domain/secsync/Decide.ts"
import { fromStreamEvent } from "../../domain/secsync/Events.ts"
import { authorClock, type DocumentState } from "../../domain/secsync/State.ts"
import type { Grant } from "../../ports/Access.ts"
import type { EventLog, StorageUnavailable } from "../../ports/EventLog.ts"
import type { Committed, FailReason, Subscriber } from "../../rooms/RoomProtocol.ts"
import type { Tail } from "../../rooms/TailCache.ts"
import { CloseCode, type Connection } from "../Connection.ts"
import { closeFailed } from "../closeFailed.ts"
import type { Frame } from "../Frame.ts"
import type { ClientsAhead } from "./ClientsAhead.ts"
import { DeliveryPause, PAUSE_AFTER_DOCUMENT, PAUSE_AFTER_OWN_SNAPSHOT, type PauseOwner } from "./DeliveryPause.ts"
import { documentOf, evictedOf } from "./Document.ts"
import {
  completeAfterLoading,
  documentFrame,
  emptyDocumentFrame,
  type FrameInPieces,
  isSentUpdatesAlone,
  type Known,
  type LoadRequest,
  type RefusedSnapshot,
  refusedSnapshotFrame
} from "./DocumentContent.ts"
import { knownMore } from "./KnownMore.ts"
import type { Holder } from "./RestoreCoordinator.ts"
import type { DocumentRoom } from "./Rooms.ts"
import type { UpdateReplies } from "./UpdateReplies.ts"
import { documentNotFound } from "./Wire.ts"

export interface DeliveryServices {
  readonly log: EventLog["Service"]
  readonly ahead: ClientsAhead
  readonly run: (effect: Effect.Effect<void>) => Fiber.Fiber<void>
}

export interface DeliveryRequest extends LoadRequest {
  readonly grant: Pick<Grant, "readOnly" | "userId">
}

/** Bytes of events that may be held back for one client; with more it is closed with 1013. */
const MAX_HELD_BACK_BYTES = 32 * 1024 * 1024

export class DocumentDelivery implements Subscriber, Holder, PauseOwner {
  private readonly services: DeliveryServices
  private readonly room: DocumentRoom
  private readonly connection: Connection
  private readonly request: DeliveryRequest
  private readonly replies: UpdateReplies
  private readonly pause: DeliveryPause
  /** The version of the document that the client was last sent: it contains all events up to here. */
  private documentVersion = -1
  /** Events that are held back, in order; undefined while events are sent as they come. */
  private heldBack: Array<Committed> | undefined = []
  private heldBackBytes = 0
  /** The snapshot whose complete state the client has, or has once it has taken what it was sent. */
  private completeSnapshot: SnapshotId | undefined
  /** The last snapshot that the client was sent or acknowledged and did not ignore. */
  private lastSeenSnapshot: SnapshotId | undefined
  /** When the client connected, the document was evicted and the client had only part of it. */
  private hasPartOfEvicted = false
  /** The client knows more than the log, and is to be asked for a snapshot once it was sent everything. */
  private isToBeAsked = false
  /** The client named updates that the log has lost. */
  knowsMore = false
  private waits = false
  /** The client was sent an empty document, and keeps a snapshot that the log does not hold. */
  private keepsLostSnapshot = false
  /** The next document is read only after the one before was sent. Made when a second document is due. */
  private sending: Semaphore.Semaphore | undefined

  constructor(
    services: DeliveryServices,
    room: DocumentRoom,
    connection: Connection,
    request: DeliveryRequest,
    replies: UpdateReplies
  ) {
    this.services = services
    this.room = room
    this.connection = connection
    this.request = request
    this.replies = replies
    this.pause = new DeliveryPause(this, services.run)
  }

  /** The connection's id: the `origin` of its events. */
  get id(): string {
    return this.connection.id
  }

  // ---- from the first document to the last event

  /** Sends the first `document` message. The room must have this subscriber already, so that no event is missed. */
  start(): Effect.Effect<void, StorageUnavailable> {
    return Effect.gen({ self: this }, function* () {
      const { request, room } = this
      const { snapshotId } = request.known
      room.local.restoreCoordinator.join(this)
      // If the client names a snapshot or an update that this process does not know, another process may have stored it.
      const isCurrent = snapshotId === undefined || contains(room.state(), request.known)
      const tail = yield* this.sendFrom(isCurrent ? room.tail : room.newestTail, (tail) =>
        snapshotId === undefined ? this.frameOf(tail) : this.frameForReturning(tail)
      )
      if (this.waits) return
      this.completeSnapshot = completeAfterLoading(tail, request.known)
      this.lastSeenSnapshot = this.keepsLostSnapshot
        ? snapshotId
        : (documentOf(tail).snapshot?.snapshotId ?? snapshotId)
      this.hasPartOfEvicted =
        this.isToBeAsked ||
        (evictedOf(tail) !== undefined && this.completeSnapshot === undefined && snapshotId !== undefined)
      if (this.keepsLostSnapshot) this.release()
      else this.pauseAfter(tail)
    })
  }

  /** Whether the client waits for an operator: its messages are not answered. */
  isWaiting(): boolean {
    return this.waits
  }

  /** The first frame for a client that names what it has. */
  private frameForReturning(tail: Tail): Effect.Effect<FrameInPieces, StorageUnavailable> {
    const { request, room, services } = this
    return Effect.flatMap(knownMore(services.log, room.key, tail, request.known), (more) => {
      if (more._tag === "level") return this.frameOf(tail)
      // In the other mode, the client has no content of its own.
      const mayBring = request.mode === "delta" && !request.grant.readOnly
      if (more._tag === "updates") {
        this.isToBeAsked = mayBring
        this.knowsMore = mayBring
        if (mayBring) services.ahead.report(room.key, "asked", { ...request, ...more })
        return this.frameOf(tail)
      }
      const state = room.state()
      const restoredAt = room.local.restoredAt()
      const isOutdone = state.isCreated && restoredAt !== undefined && !mayComeBack(state, { restoredAt })
      if (request.mode !== "delta" || isOutdone || (!state.isCreated && !mayBring)) {
        if (isOutdone) services.ahead.report(room.key, "lost", request)
        return this.frameOf(tail)
      }
      this.isToBeAsked = mayBring && (!state.isCreated || restoredAt !== undefined)
      this.waits = !this.isToBeAsked
      this.keepsLostSnapshot = true
      services.ahead.report(room.key, this.waits ? "waiting" : "asked", request)
      return Effect.succeed(emptyDocumentFrame)
    })
  }

  stop(): void {
    this.pause.end()
    this.room.local.restoreCoordinator.leave(this)
  }

  deliver(committed: Committed): void {
    if (this.waits) return
    if (committed.event.type === DELETED) {
      this.connection.send(documentNotFound)
      return this.connection.close(CloseCode.notFound, "the document was deleted")
    }
    if (this.heldBack === undefined) return this.send(committed)
    this.heldBack.push(committed)
    this.heldBackBytes += committed.frame?.length ?? 0
    if (this.heldBackBytes > MAX_HELD_BACK_BYTES) {
      this.connection.close(CloseCode.tryAgainLater, "too many events wait behind the document")
    }
  }

  /** Sends an ephemeral message of another client. It is dropped while events are held back: it may be lost. */
  relay(frame: Frame): void {
    if (this.heldBack === undefined) this.connection.sendVolatile(frame)
  }

  fail(why: FailReason): void {
    closeFailed(this.connection, why)
  }

  private send({ event, frame }: Committed): void {
    if (event.version <= this.documentVersion) return
    if (event.checkpoint && this.followSnapshot(event) === "document") return
    if (frame !== undefined && event.origin !== this.connection.id) this.connection.send(frame)
  }

  /** Notes a new active snapshot, the client's own included. Returns in what form the client gets it. */
  private followSnapshot(event: StreamEvent): "event" | "document" {
    const stored = fromStreamEvent(event)
    if (stored._tag !== "SnapshotStored") return "event"
    const isOwn = event.origin === this.connection.id
    this.completeSnapshot = stored.snapshotId
    // If the client has a second snapshot on its way, it ignores that this one was saved. The refusal of the second one
    // brings it up to date; events before that would be of a snapshot that it does not know.
    if (isOwn && this.replies.mayHaveSeveralSnapshots()) this.pause.begin(PAUSE_AFTER_OWN_SNAPSHOT)
    else this.lastSeenSnapshot = stored.snapshotId
    this.replies.snapshotStored()
    const isSentDocument = this.hasPartOfEvicted && !isOwn
    this.hasPartOfEvicted = false
    if (!isSentDocument) return "event"
    // Only a document brings the proof chain from the snapshot that the client has.
    this.hold()
    this.services.run(this.sendDocumentAgain())
    return "document"
  }

  // ---- holding back

  /** Starts to hold events back, until `release`. */
  hold(): void {
    this.heldBack ??= []
  }

  /** Sends the events that were held back, and later ones as they come. */
  release(): void {
    const events = this.heldBack ?? []
    this.heldBack = undefined
    this.heldBackBytes = 0
    // One of these events may have the document sent again: `deliver` then holds back the rest.
    for (const committed of events) this.deliver(committed)
    if (this.isToBeAsked && this.heldBack === undefined) {
      this.isToBeAsked = false
      this.replies.requireSnapshot(this.request.known.snapshotId ?? "", 0)
    }
    this.room.local.restoreCoordinator.offer()
  }

  /** Ends a pause because the client sent a frame. Returns whether there was one; the caller then releases the events. */
  endPause(): boolean {
    return this.pause.end()
  }

  /** Releases the events behind a frame that ended a pause, unless handling the frame has begun another pause. */
  releaseUnlessPaused(): void {
    if (!this.pause.isActive()) this.release()
  }

  /** Begins the pause after a document, which only a document with a snapshot needs. */
  private pauseAfter(tail: Tail): void {
    const { snapshot } = documentOf(tail)
    if (snapshot === undefined || isSentUpdatesAlone(snapshot.snapshotId, this.request)) this.release()
    else this.pause.begin(PAUSE_AFTER_DOCUMENT)
  }

  // ---- documents after the first

  /** Answers a refused snapshot with what its author lacks, and then sends the events that are not in the answer. */
  refuseSnapshot(refused: RefusedSnapshot): Effect.Effect<void, StorageUnavailable> {
    const { log } = this.services
    return this.sendNext(
      (tail) => refusedSnapshotFrame(log, this.room.key, tail, refused, this.lastSeenSnapshot),
      () => this.release()
    )
  }

  private sendDocumentAgain(): Effect.Effect<void> {
    return this.sendNext(
      (tail) => this.frameOf(tail),
      (tail) => this.pauseAfter(tail)
    ).pipe(
      Effect.catch(() =>
        Effect.sync(() => this.connection.close(CloseCode.tryAgainLater, "the storage is not available"))
      )
    )
  }

  /** Holds events back, sends a frame of the newest tail and calls `then`, before the next such frame is begun. */
  private sendNext(
    frameOf: (tail: Tail) => Effect.Effect<FrameInPieces, StorageUnavailable>,
    then: (tail: Tail) => void
  ): Effect.Effect<void, StorageUnavailable> {
    this.sending ??= Semaphore.makeUnsafe(1)
    return Effect.sync(() => this.hold()).pipe(
      Effect.andThen(this.sendFrom(this.room.tail, frameOf)),
      Effect.map((tail) => {
        this.lastSeenSnapshot = documentOf(tail).snapshot?.snapshotId ?? this.lastSeenSnapshot
        then(tail)
      }),
      this.sending.withPermit
    )
  }

  /** Sends a frame of a tail. Events that are in the tail are not sent any more. */
  private sendFrom(
    read: Effect.Effect<Tail, StorageUnavailable>,
    frameOf: (tail: Tail) => Effect.Effect<FrameInPieces, StorageUnavailable>
  ): Effect.Effect<Tail, StorageUnavailable> {
    return Effect.flatMap(read, (tail) =>
      Effect.map(frameOf(tail), (frame) => {
        this.connection.send(...frame)
        this.documentVersion = tail.head.version
        return tail
      })
    )
  }

  private frameOf(tail: Tail): Effect.Effect<FrameInPieces, StorageUnavailable> {
    return documentFrame(this.services.log, this.room.key, tail, this.request)
  }

  // ---- restoring an evicted document

  holds(): SnapshotId | undefined {
    return this.completeSnapshot
  }

  isReady(): boolean {
    return this.heldBack === undefined
  }

  ask(): void {
    this.replies.requireSnapshot(this.completeSnapshot ?? "", 0)
  }
}

/** Whether a document is at the snapshot that a client knows, and holds every update that the client knows. */
const contains = (state: DocumentState, known: Known): boolean =>
  state.active?.snapshotId === known.snapshotId &&
  Array.from(known.clocks).every(([pubKey, clock]) => (authorClock(state, pubKey)?.clock ?? -1) >= clock)
