/**
 * The session of one Secsync client on one document: decides what each of its messages means, in the order in which they
 * arrive. `DocumentDelivery` decides when the client is sent the document and its events.
 */
import { Effect, type Fiber, type Scope } from "effect"
import { blake2b256 } from "../../domain/Blake2b.ts"
import type { DocumentId, PublicKey, SnapshotId } from "../../domain/Ids.ts"
import type { StreamEvent } from "../../domain/Stream.ts"
import type { DocumentRefusal } from "../../domain/secsync/Commands.ts"
import { covers } from "../../domain/secsync/Proofs.ts"
import { evaluateNow } from "../../internal/evaluateNow.ts"
import type { FrameLog } from "../../internal/FrameLog.ts"
import { onScopeClose } from "../../internal/finalizers.ts"
import { andThen, type Rest, restOf, waitFor } from "../../internal/Rest.ts"
import type { SharedBytes } from "../../internal/SharedBytes.ts"
import { shownName } from "../../internal/shownName.ts"
import { type BucketLimits, TokenBucket } from "../../internal/TokenBucket.ts"
import * as Metrics from "../../metrics/Metrics.ts"
import { type Action, type Grant, maySignWith } from "../../ports/Access.ts"
import type { EventLog, StorageUnavailable } from "../../ports/EventLog.ts"
import type { AccessUndecided, Ask } from "../../rooms/AccessControl.ts"
import type { Arrival, FrameTraces } from "../../rooms/FrameTraces.ts"
import type { Outcome } from "../../rooms/RoomProtocol.ts"
import type { SigningKeys } from "../../rooms/SigningKeys.ts"
import type { Signatures } from "../../signatures/Signatures.ts"
import type { SignedText } from "../../signatures/verifySignature.ts"
import { CloseCode, type Connection } from "../Connection.ts"
import { InFlight } from "../InFlight.ts"
import type { FrameText, ProtocolSession, Received } from "../ProtocolSession.ts"
import type { ClientsAhead } from "./ClientsAhead.ts"
import type { LoadRequest } from "./DocumentContent.ts"
import { DocumentDelivery } from "./DocumentDelivery.ts"
import { followAnswered, followReceived, followRefused, followVerified, type Sender } from "./FrameTrail.ts"
import type { DecodeLarge } from "./LargeDecoder.ts"
import type { DocumentRoom } from "./Rooms.ts"
import { incomingOf, type StoredHooks } from "./StoredHooks.ts"
import { UpdateReplies } from "./UpdateReplies.ts"
import * as Wire from "./Wire.ts"
import { type Reservation, reservationMessage } from "./WriteReservations.ts"

export interface SessionRequest extends LoadRequest {
  readonly grant: Grant
  readonly documentId: DocumentId
}

/** The dependencies of a session. */
export interface Services {
  /** undefined: the app has no policy. */
  readonly ask: Ask | undefined
  readonly signatures: Signatures["Service"]
  readonly ahead: ClientsAhead
  readonly log: EventLog["Service"]
  readonly decode: (text: string) => Wire.ClientMessage
  readonly decodeLarge: DecodeLarge
  readonly maxUpdates: number
  /** Bytes of updates that wait for their commit, of all connections together. */
  readonly inFlight: SharedBytes
  readonly now: () => number
  readonly run: (effect: Effect.Effect<void>) => Fiber.Fiber<void>
  readonly frames: FrameLog
  readonly traces: FrameTraces
  readonly hooks: StoredHooks
  /** undefined: users are not bound to keys. */
  readonly claimKey: SigningKeys["Service"]["claim"]
}

/** Tells the client that it has no access, which it takes as final, and closes its connection. */
export const refuseAccess = (connection: Connection): void => {
  connection.send(Wire.unauthorized)
  connection.close(CloseCode.forbidden, "not allowed")
}

/** Tells the client that there is no such document, which it takes as final, and closes its connection. */
export const refuseMissing = (connection: Connection): void => {
  connection.send(Wire.documentNotFound)
  connection.close(CloseCode.notFound, "the document does not exist")
}

/** Sends the document, and then its events until the scope closes. */
export const openSession = Effect.fnUntraced(function* (
  services: Services,
  room: DocumentRoom,
  connection: Connection,
  request: SessionRequest
) {
  const session = new DocumentSession(services, room, connection, request)
  yield* session.open()
  return session satisfies ProtocolSession
})

/** After so many reservations in a row, the client is taken to race with another client that writes only snapshots. */
const RESERVATIONS_OF_A_RACE = 3

/** Ephemeral messages of one connection. Above it they are dropped: a cursor that moves sends sixty a second. */
const EPHEMERAL_LIMITS: BucketLimits = { perSecond: 200, burst: 1000 }

/** Malformed or wrongly signed messages in a row after which the connection is closed with 1008. No honest client sends any. */
const MAX_INVALID_IN_A_ROW = 100

const countRefused = (rule: string): void => Metrics.refusals.at({ protocol: "secsync", rule }).add()
const droppedForRate = Metrics.messagesDropped.at({ cause: "ephemeral_rate" })
const droppedAsReplay = Metrics.messagesDropped.at({ cause: "ephemeral_replay" })

class DocumentSession implements ProtocolSession {
  private readonly services: Services
  private readonly room: DocumentRoom
  private readonly connection: Connection
  private readonly request: SessionRequest
  private readonly replies: UpdateReplies
  private readonly delivery: DocumentDelivery
  private readonly inFlight: InFlight
  /** The client has a reservation, because its snapshot was refused, and has not written since. */
  private hasReservation = false
  /** Snapshots that were stored by reservation since this connection last stored anything without one. */
  private reservationsInARow = 0
  private invalidInARow = 0
  private hasWarned = false
  private hasLeft = false
  /** The last key that was found to be the user's. */
  private claimedKey: PublicKey | undefined
  /** Of the messages that are being handled; undefined: nothing is traced. */
  private arrival: Arrival | undefined
  /** Undefined until the first ephemeral message, because most connections idle. */
  private ephemerals: TokenBucket | undefined

  constructor(services: Services, room: DocumentRoom, connection: Connection, request: SessionRequest) {
    this.services = services
    this.room = room
    this.connection = connection
    this.request = request
    this.inFlight = new InFlight(services.inFlight)
    this.replies = new UpdateReplies(room, connection)
    this.delivery = new DocumentDelivery(services, room, connection, request, this.replies)
  }

  get answered(): Effect.Effect<void> {
    return this.inFlight.none
  }

  get brought(): Effect.Effect<boolean> {
    return this.replies.brought
  }

  open(): Effect.Effect<void, StorageUnavailable, Scope.Scope> {
    return Effect.gen({ self: this }, function* () {
      yield* this.room.subscribe(this.delivery)
      yield* onScopeClose(() => this.leave())
      yield* this.delivery.start()
    })
  }

  private leave(): void {
    this.hasLeft = true
    this.delivery.stop()
    this.room.local.reservations.release(this.connection.id)
  }

  // ---- messages

  /** Frames that are not large and wait for nothing but their signatures are handled without a fiber, up to their commit. */
  receive(texts: ReadonlyArray<FrameText>, done: Received): void {
    const { decode, decodeLarge } = this.services
    if (texts.every((text) => typeof text === "string")) return this.receiveAll(texts, texts.map(decode), done)
    const decodeOne = (text: FrameText) =>
      typeof text === "string" ? Effect.sync(() => decode(text)) : decodeLarge(text)
    const decoding = Effect.forEach(texts, decodeOne)
    done(Effect.flatMap(decoding, (messages) => waitFor((done) => this.receiveAll(texts, messages, done))))
  }

  private receiveAll(
    texts: ReadonlyArray<FrameText>,
    messages: ReadonlyArray<Wire.ClientMessage>,
    done: Received
  ): void {
    const { frames, traces } = this.services
    const receivedAt = traces.isOn ? traces.now() : frames.now()
    if (frames.isOn) followReceived(frames, this.sender, texts, messages)
    const handleAll = (verified: ReadonlyArray<boolean>) => {
      const genuine = this.genuineOf(messages, verified)
      if (frames.isOn) followVerified(frames, this.sender, messages, genuine, receivedAt)
      if (traces.isOn) this.arrival = { receivedAt, verifiedAt: traces.now() }
      return this.receiveFrom(0, messages, genuine)
    }
    const signed = this.signedOf(messages)
    const { signatures } = this.services
    if (signed.length === 0) return done(restOf(() => handleAll([])))
    if (signatures.verifyThen !== undefined)
      return signatures.verifyThen(signed, (verified) => done(restOf(() => handleAll(verified))))
    done(Effect.flatMap(signatures.verify(signed), (verified) => handleAll(verified) ?? Effect.void))
  }

  /** Handles the messages from the `first` one on, until one of them has to wait: the others follow behind it. */
  private receiveFrom(
    first: number,
    messages: ReadonlyArray<Wire.ClientMessage>,
    genuine: ReadonlyArray<boolean | undefined>
  ): Rest<Unavailable> {
    for (let i = first; i < messages.length; i += 1) {
      // The signatures may have been verified after the session ended.
      if (this.hasLeft || this.connection.isSentAway()) return undefined
      const message = messages[i]!
      if (genuine[i] === true) this.invalidInARow = 0
      else {
        if (!("signed" in message)) countRefused(message._tag)
        else if (genuine[i] === false) countRefused("SignatureInvalid")
        this.invalidInARow += 1
      }
      if (this.invalidInARow > MAX_INVALID_IN_A_ROW) {
        this.connection.close(CloseCode.policy, "too many malformed or wrongly signed messages")
        return undefined
      }
      const rest = this.receiveMessage(message, genuine[i] ?? false)
      if (rest !== undefined) return andThen(rest, () => this.receiveFrom(i + 1, messages, genuine))
    }
    return undefined
  }

  /** The sender, as the frame log names it. */
  private get sender(): Sender {
    const { documentId, grant } = this.request
    return { library: grant.libraryId, stream: documentId, session: this.connection.id }
  }

  /** The signatures that are to be verified, all together. */
  private signedOf(messages: ReadonlyArray<Wire.ClientMessage>): ReadonlyArray<SignedText> {
    return messages.flatMap((message) =>
      this.isVerified(message) && message.isGenuine === undefined ? [message.signed] : []
    )
  }

  /** Whether each message's signature is genuine; undefined for a message whose signature is not verified. */
  private genuineOf(
    messages: ReadonlyArray<Wire.ClientMessage>,
    verified: ReadonlyArray<boolean>
  ): ReadonlyArray<boolean | undefined> {
    let next = 0
    return messages.map((message) => {
      if (!this.isVerified(message)) return undefined
      return message.isGenuine ?? verified[next++] === true
    })
  }

  /** A malformed message has no signature. That of a message that the token does not allow would be verified in vain. */
  private isVerified(message: Wire.ClientMessage): message is SignedMessage {
    return "signed" in message && ruleAgainst(message, this.request.grant) === undefined
  }

  /** Any message shows that the client has taken what it was sent, and ends the pause after that. */
  private receiveMessage(message: Wire.ClientMessage, isGenuine: boolean): Rest<Unavailable> {
    const { delivery } = this
    if (!delivery.endPause()) return this.handle(message, isGenuine)
    // A snapshot is answered before the events that were held back: its refusal contains them, and brings the author up
    // to date.
    if (message._tag !== "Snapshot") delivery.release()
    return andThen(this.handle(message, isGenuine), () => {
      delivery.releaseUnlessPaused()
      return undefined
    })
  }

  private handle(message: Wire.ClientMessage, isGenuine: boolean): Rest<Unavailable> {
    if ("signed" in message) return this.handleWellFormed(message, isGenuine)
    const { connection } = this
    switch (message._tag) {
      case "NotJson":
        connection.close(CloseCode.notUtf8OrJson, "a frame is JSON text")
        break
      case "NotAMessage":
        connection.close(CloseCode.policy, "not a snapshot, update or ephemeral message")
        break
      case "MalformedSnapshot":
        connection.send(Wire.snapshotSaveFailed)
        break
      case "MalformedUpdate":
        connection.send(Wire.updateSaveFailed(message.snapshotId, message.clock, false))
    }
    return undefined
  }

  private handleWellFormed(message: SignedMessage, isGenuine: boolean): Rest<Unavailable> {
    // Any answer would make the client send the same again, at once and without an end.
    if (this.delivery.isWaiting()) return undefined
    const { documentId, grant } = this.request
    const { ask, claimKey } = this.services
    if (message.documentId !== documentId) this.warnOfOtherDocument(message)
    const rule = ruleAgainst(message, grant)
    if (rule !== undefined) return this.refuse(message, rule)
    const isUnclaimed = claimKey !== undefined && isGenuine && message.pubKey !== this.claimedKey
    // The issuer of a token with the claim `keys` has decided already.
    if (isUnclaimed && grant.signingKeys === undefined) {
      return Effect.flatMap(claimKey(grant, message.pubKey), (isOwn) => {
        if (isOwn) this.claimedKey = message.pubKey
        const rest = isOwn ? this.handle(message, isGenuine) : this.refuse(message, "SigningKey")
        return rest ?? Effect.void
      })
    }
    // A message that is not its author's is refused without the policy, which may trust the key that it is asked about.
    if (ask === undefined || !isGenuine) return this.handleSigned(message, isGenuine)
    return Effect.flatMap(ask(grant, actionOf(message, documentId)), (isAllowed) => {
      if (isAllowed && this.connection.isSentAway()) return Effect.void
      const rest = isAllowed ? this.handleSigned(message, isGenuine) : this.refuse(message, "AccessPolicy")
      return rest ?? Effect.void
    })
  }

  /** Such a message is refused. Mostly the path that the client was given is not the one under which documents are served. */
  private warnOfOtherDocument(message: SignedMessage): void {
    if (this.hasWarned) return
    this.hasWarned = true
    const { documentId, grant } = this.request
    const [theirs, ours] = [message.documentId, documentId].map(shownName)
    this.services.run(
      Effect.logWarning(
        `A client sent a message of document ${theirs} on a connection to ${ours}. If the first is a part of the second, the client's endpoint has a path that the server does not know.`
      ).pipe(Effect.annotateLogs({ libraryId: grant.libraryId, userId: grant.userId }))
    )
  }

  private refuse(message: SignedMessage, rule: string): undefined {
    countRefused(rule)
    const { frames } = this.services
    if (frames.isOn) followRefused(frames, this.sender, message, rule)
    refuseAccess(this.connection)
    return undefined
  }

  private handleSigned(message: SignedMessage, isGenuine: boolean): Rest<StorageUnavailable> {
    const { connection } = this
    switch (message._tag) {
      case "Snapshot":
        if (isGenuine) return this.afterHook(message, () => this.receiveSnapshot(message))
        connection.send(Wire.snapshotSaveFailed)
        break
      case "Update":
        if (isGenuine) return this.afterHook(message, () => this.receiveUpdate(message))
        connection.send(Wire.updateSaveFailed(message.refSnapshotId, message.clock, false))
        break
      case "Ephemeral":
        if (!isGenuine) connection.close(CloseCode.policy, "an ephemeral message is not signed by its key")
        else if (message.documentId !== this.request.documentId)
          connection.close(CloseCode.policy, "another document's message")
        else if (this.mayRelay(message)) this.room.relay(Wire.ephemeralFrame(message.payload), this.delivery)
    }
    return undefined
  }

  /** Stores a message unless the app's `beforeStored` refuses it. Without such a hook, nothing is asked. */
  private afterHook(
    message: Wire.SnapshotMessage | Wire.UpdateMessage,
    store: () => Rest<StorageUnavailable>
  ): Rest<StorageUnavailable> {
    const { connection, request } = this
    const { after, before, isFull } = this.services.hooks
    if (after !== undefined && isFull()) {
      connection.close(CloseCode.tryAgainLater, "too much waits for the app's hook")
      return undefined
    }
    if (before === undefined) return store()
    return before(incomingOf(message, request.grant, request.documentId)).pipe(
      Effect.flatMap((answer) => {
        if (connection.isSentAway()) return Effect.void
        if (answer === "store") return store() ?? Effect.void
        return Effect.sync(() => {
          if (message._tag === "Snapshot") connection.send(Wire.snapshotSaveFailed)
          else if (answer === "requireSnapshot") this.replies.requireSnapshot(message.refSnapshotId, message.clock)
          else connection.send(Wire.updateSaveFailed(message.refSnapshotId, message.clock, false))
        })
      }),
      Effect.catchTag("HookUndecided", ({ message }) =>
        Effect.sync(() => connection.close(CloseCode.tryAgainLater, message))
      )
    )
  }

  /** Tells the app of a message that was stored. */
  private tellStored(message: Wire.SnapshotMessage | Wire.UpdateMessage, event: StreamEvent): void {
    const { after } = this.services.hooks
    if (after === undefined) return
    const { documentId, grant } = this.request
    const { additionalServerData, grant: _, ...which } = incomingOf(message, grant, documentId)
    const { recordedAt, version } = event
    after({ ...which, libraryId: grant.libraryId, userId: grant.userId, version, recordedAt })
  }

  private mayRelay({ signed }: Wire.EphemeralMessage): boolean {
    const now = this.services.now()
    this.ephemerals ??= new TokenBucket(EPHEMERAL_LIMITS, now)
    const isDropped = !this.ephemerals.take(now)
    const isReplay = !isDropped && !this.room.local.relayed.add(signed.signature)
    if (isDropped) droppedForRate.add()
    if (isReplay) droppedAsReplay.add()
    return !isDropped && !isReplay
  }

  // ---- updates

  /** Submits an update and does not wait for its commit, so that the next message can be handled. */
  private receiveUpdate(message: Wire.UpdateMessage): Rest {
    const { connection, inFlight } = this
    const { reservations } = this.room.local
    return andThen(reservations.mustWait(connection.id) ? reservations.await(connection.id) : undefined, () => {
      this.submitUpdate(message)
      return inFlight.isBelowLimit() ? undefined : inFlight.belowLimit
    })
  }

  private submitUpdate(message: Wire.UpdateMessage): void {
    const { connection, delivery, inFlight, replies, room } = this
    const command = {
      _tag: "StoreUpdate",
      documentId: message.documentId,
      refSnapshotId: message.refSnapshotId,
      pubKey: message.pubKey,
      clock: message.clock,
      payload: message.payload,
      packed: message.packed,
      payloadHash: message.payloadHash ?? blake2b256(message.payload),
      payloadBytes: message.payload.length,
      snapshotDueAfter: this.snapshotDueAfter(message)
    } as const
    inFlight.begin(message.payload.length)
    const { frames } = this.services
    const submittedAt = frames.now()
    const respond = (outcome: Outcome<DocumentRefusal>) => {
      try {
        if (outcome._tag === "Stored") this.tellStored(message, outcome.event)
        replies.answer(message, outcome, delivery)
        if (frames.isOn) followAnswered(frames, this.sender, message, outcome, submittedAt)
        if (outcome._tag === "Stored") this.reservationsInARow = 0
      } finally {
        inFlight.end(message.payload.length)
      }
    }
    room.submit(command, connection.id, respond, this.arrival)
  }

  /** The number of updates of the active snapshot from which on this update is refused for a snapshot. */
  private snapshotDueAfter({ pubKey, refSnapshotId }: Wire.UpdateMessage): number {
    // A client that was asked for a snapshot and did not send one may go on with updates.
    if (this.replies.wasAskedToReplace(refSnapshotId)) return Number.POSITIVE_INFINITY
    return this.room.local.owedSnapshots.isOwedBy(pubKey) ? 0 : this.services.maxUpdates
  }

  // ---- snapshots

  /** Submits a snapshot and waits until its answer is sent: only then is the next message handled. */
  private receiveSnapshot(message: Wire.SnapshotMessage): Effect.Effect<void, StorageUnavailable> {
    return Effect.gen({ self: this }, function* () {
      const { connection, delivery, room } = this
      yield* this.letOthersRestore(message)
      yield* room.local.reservations.await(connection.id)
      const isHeld = (snapshotId: SnapshotId) =>
        Effect.map(this.services.log.readKeyed(room.key, snapshotId), (found) => found !== undefined)
      const used = yield* isHeld(message.snapshotId)
      const { parentSnapshotId: parent } = message
      // Only a log that was restored can lack the parent of a client's snapshot.
      const mayLackParent =
        room.local.restoredAt() !== undefined && parent !== "" && parent !== room.state().active?.snapshotId
      const command = {
        ...message,
        _tag: "StoreSnapshot",
        payloadHash: message.payloadHash ?? blake2b256(message.payload),
        payloadBytes: message.payload.length,
        used,
        knowsMore: this.delivery.knowsMore,
        parentIsUnknown: mayLackParent && !(yield* isHeld(parent)),
        sentEverything: delivery.holds() === message.parentSnapshotId
      } as const
      const { frames } = this.services
      const submittedAt = frames.now()
      const refusal = yield* Effect.callback<DocumentRefusal | undefined>((resume) => {
        // The room calls this before it fans out the next event. The acknowledgement goes out here, because that event may
        // be another client's update to this very snapshot.
        const respond = (outcome: Outcome<DocumentRefusal>) => {
          if (outcome._tag === "Stored") this.tellStored(message, outcome.event)
          resume(evaluateNow(() => this.answerSnapshot(message.snapshotId, outcome)))
          if (frames.isOn) followAnswered(frames, this.sender, message, outcome, submittedAt)
        }
        room.submit(command, connection.id, respond, this.arrival)
      })
      if (refusal === undefined) return
      if (!bringsContent(refusal)) return connection.send(Wire.snapshotSaveFailed)
      yield* delivery.refuseSnapshot(message)
    })
  }

  /** Sends the answer to a snapshot, except to one that is refused: then it returns why. */
  private answerSnapshot(snapshotId: SnapshotId, outcome: Outcome<DocumentRefusal>): DocumentRefusal | undefined {
    const { connection, delivery, room } = this
    if (outcome._tag === "Stored" || (outcome._tag === "Refused" && outcome.refusal._tag === "AlreadyStored")) {
      connection.send(Wire.snapshotSaved(snapshotId))
      if (outcome._tag === "Refused") room.local.reservations.release(connection.id)
      this.reservationsInARow = this.hasReservation ? this.reservationsInARow + 1 : 0
      this.hasReservation = false
      return undefined
    }
    switch (outcome._tag) {
      case "Unavailable":
        connection.send(Wire.snapshotSaveFailed)
        connection.close(CloseCode.tryAgainLater, "the storage is not available")
        return undefined
      case "Failed":
        connection.close(CloseCode.internalError, "internal error")
        return undefined
      case "Refused":
        if (bringsContent(outcome.refusal)) {
          delivery.hold()
          if (room.state().active !== undefined) this.reserveNextWrite()
        }
        return outcome.refusal
    }
  }

  /** Makes the other clients wait for this one's next snapshot; in a race, for its next two writes. */
  private reserveNextWrite(): void {
    const at = this.services.now()
    const writes = this.reservationsInARow < RESERVATIONS_OF_A_RACE ? 1 : 2
    const reservation: Reservation = { id: this.connection.id, at, writes }
    this.hasReservation = true
    this.room.local.reservations.reserve(reservation)
    this.room.tell(reservationMessage(reservation))
  }

  /**
   * Delays a snapshot that restores an evicted document only in part. It would drop what other clients still have, and
   * they could not follow it. If a client with the whole document is connected, it was asked for a snapshot: that one goes
   * first.
   */
  private letOthersRestore(message: Wire.SnapshotMessage): Effect.Effect<void> {
    const { evicted } = this.room.state()
    if (evicted === undefined) return Effect.void
    const isComplete =
      message.parentSnapshotId === evicted.snapshot.snapshotId &&
      covers(message.parentSnapshotUpdateClocks, evicted.clocks)
    // A client that was sent the whole document is refused, and at once tries again with all of it.
    const canBeComplete = this.delivery.holds() === evicted.snapshot.snapshotId
    return isComplete || canBeComplete ? Effect.void : this.room.local.restoreCoordinator.awaitOthers(this.delivery)
  }
}

type Unavailable = StorageUnavailable | AccessUndecided

type SignedMessage = Wire.SnapshotMessage | Wire.UpdateMessage | Wire.EphemeralMessage

/** Whether the answer to a refused snapshot contains what its author lacks. */
const bringsContent = (refusal: DocumentRefusal): boolean =>
  refusal._tag === "SnapshotOutdated" || refusal._tag === "SnapshotMissesUpdates" || refusal._tag === "SnapshotIdUsed"

const isWrite = ({ _tag }: Wire.ClientMessage): boolean => _tag === "Snapshot" || _tag === "Update"

/** Why a token does not allow a message; undefined: it does. */
const ruleAgainst = (message: SignedMessage, grant: Grant): string | undefined => {
  if (grant.readOnly && isWrite(message)) return "ReadOnly"
  return maySignWith(grant, message.pubKey) ? undefined : "SigningKey"
}

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
