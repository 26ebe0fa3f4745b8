/**
 * One client on one document: its frames in, in the order they came; its acknowledgements, refusals and everybody
 * else's events out, in one order for all.
 */
import { Clock, Effect, FiberSet, Latch, Semaphore } from "effect"
import type { Access, Action, Grant } from "../../Access.ts"
import { blake2b256 } from "../../domain/Blake2b.ts"
import type { DocumentId, SnapshotId } from "../../domain/Ids.ts"
import { covers, type DocumentRefusal, fromStreamEvent } from "../../domain/Secsync.ts"
import { EventLog, type StorageUnavailable } from "../../EventLog.ts"
import type { Signatures } from "../../Signatures.ts"
import type { Tail } from "../../Tails.ts"
import { CloseCode, type Connection } from "../Connection.ts"
import type { Frame } from "../Frame.ts"
import {
  completeFrame,
  documentOf,
  evictedOf,
  heldAfterLoading,
  isSentUpdatesAlone,
  type Known,
  loadContent,
  refusedContent
} from "./Document.ts"
import type { DocumentRoom } from "./DocumentRooms.ts"
import { makeFeed } from "./Feed.ts"
import type { Holder } from "./Restoration.ts"
import { makeSettling, PATIENCE_WITH_DOCUMENT, PATIENCE_WITH_OWN_SNAPSHOT } from "./Settling.ts"
import { makeUpdateAnswers } from "./UpdateAnswers.ts"
import * as Wire from "./Wire.ts"
import { reservationMessage } from "./WriteTurn.ts"

export interface SessionRequest {
  readonly grant: Grant
  readonly documentId: DocumentId
  readonly mode: "complete" | "delta"
  readonly known: Known
}

export interface Session {
  /** Handles text frames in their order; done when the next may be handled. */
  readonly receive: (texts: ReadonlyArray<string>) => Effect.Effect<void, StorageUnavailable>
  /** Waits until what was received is answered. */
  readonly answered: Effect.Effect<void>
}

/** Updates of one connection that may wait for their commit, and their bytes; its next frame is read when it is less. */
const MAX_IN_FLIGHT = 128
const MAX_BYTES_IN_FLIGHT = 8 * 1024 * 1024

/** What sessions are made of. */
export interface Services {
  readonly access: Access["Service"]
  readonly signatures: Signatures["Service"]
  readonly log: EventLog["Service"]
  readonly decode: (text: string) => Wire.ClientMessage
  readonly maxUpdates: number
}

export const refuseAccess = (connection: Connection): void => {
  connection.send(Wire.unauthorized)
  connection.close(CloseCode.forbidden, "not allowed by this token")
}

/** Sends the document, and then what happens to it until the scope closes. */
export const openSession = Effect.fnUntraced(function* (
  { access, signatures, log, decode, maxUpdates }: Services,
  room: DocumentRoom,
  connection: Connection,
  request: SessionRequest
) {
  const { documentId, grant } = request

  const clock = yield* Clock.Clock
  let holds: SnapshotId | undefined
  /** The last snapshot that the client was told of and took; its own among them. */
  let told: SnapshotId | undefined
  const answers = makeUpdateAnswers(room, connection)
  const holder: Holder = {
    holds: () => holds,
    isReady: () => !feed.isHolding(),
    ask: () => answers.requireSnapshot(holds ?? "", 0)
  }
  /** The document was evicted when the client came, and the client knows something of it, but not all. */
  let isBehind = false
  const run = yield* FiberSet.makeRuntime<never>()
  const feed = makeFeed(room, connection, ({ event }) => {
    if (!event.checkpoint) return false
    const decoded = fromStreamEvent(event)
    if (decoded._tag !== "SnapshotStored") return false
    holds = decoded.snapshotId
    // With another one on its way, the client ignores that this one was saved: until that other is refused, and brings
    // it up to date, it could make nothing of what follows.
    const isIgnored = event.origin === connection.id && answers.mayHaveSeveral()
    if (isIgnored) settling.begin(PATIENCE_WITH_OWN_SNAPSHOT)
    else told = decoded.snapshotId
    answers.snapshotStored()
    const reloads = isBehind && event.origin !== connection.id
    isBehind = false
    if (reloads) {
      // To this client the snapshot does not follow from what it knows: it needs the line of proofs as well.
      feed.hold()
      run(reload)
    }
    return reloads
  })
  /** A document is sent and what came after it released before the next is read. */
  const documentTurn = yield* Semaphore.make(1)
  const release = () => {
    feed.release()
    room.local.restoration.offer()
  }
  const sendAnew = (frameOf: (tail: Tail) => Effect.Effect<Frame, StorageUnavailable>, then: (tail: Tail) => void) =>
    Effect.sync(feed.hold).pipe(
      Effect.andThen(feed.sendDocument(frameOf)),
      Effect.andThen((tail) =>
        Effect.sync(() => {
          told = documentOf(tail).snapshot?.snapshotId ?? told
          then(tail)
        })
      ),
      documentTurn.withPermit
    )
  /** After a document: a client queues one that has a snapshot late. */
  const settle = (tail: Tail): void => {
    const { snapshot } = documentOf(tail)
    if (snapshot === undefined || isSentUpdatesAlone(snapshot.snapshotId, request)) release()
    else settling.begin(PATIENCE_WITH_DOCUMENT)
  }
  const settling = makeSettling({ hold: feed.hold, release, run: (effect) => void run(effect) })
  let inFlight = 0
  let bytesInFlight = 0
  const belowLimit = yield* Latch.make(true)
  const noneInFlight = yield* Latch.make(true)

  const { turn } = room.local
  const goFirst = (): void => {
    const at = clock.currentTimeMillisUnsafe()
    turn.reserve(connection.id, at)
    room.tell(reservationMessage(connection.id, at))
  }

  const receiveUpdate = Effect.fnUntraced(function* (message: Wire.UpdateMessage) {
    yield* turn.await(connection.id)
    const command = {
      _tag: "StoreUpdate",
      documentId: message.documentId,
      refSnapshotId: message.refSnapshotId,
      pubKey: message.pubKey,
      clock: message.clock,
      payloadHash: blake2b256(message.payload),
      snapshotDueAfter: answers.wasAskedToReplace(message.refSnapshotId) ? Number.POSITIVE_INFINITY : maxUpdates
    } as const
    inFlight += 1
    noneInFlight.closeUnsafe()
    bytesInFlight += message.payload.length
    if (inFlight >= MAX_IN_FLIGHT || bytesInFlight >= MAX_BYTES_IN_FLIGHT) belowLimit.closeUnsafe()
    room.submit({ command, payload: message.payload }, connection.id, (outcome) => {
      inFlight -= 1
      bytesInFlight -= message.payload.length
      if (inFlight < MAX_IN_FLIGHT && bytesInFlight < MAX_BYTES_IN_FLIGHT) belowLimit.openUnsafe()
      answers.answer(message, outcome, holder)
      if (inFlight === 0) noneInFlight.openUnsafe()
    })
    yield* belowLimit.await
  })

  const receiveSnapshot = Effect.fnUntraced(function* (message: Wire.SnapshotMessage) {
    yield* letOthersRestore(message)
    yield* turn.await(connection.id)
    const used = (yield* log.proofs(room.key, message.snapshotId)) !== undefined
    const command = {
      ...message,
      _tag: "StoreSnapshot",
      payloadHash: blake2b256(message.payload),
      used,
      sentEverything: holder.holds() === message.parentSnapshotId
    } as const
    const refusal = yield* Effect.callback<DocumentRefusal | undefined>((resume) => {
      room.submit({ command, payload: message.payload }, connection.id, (outcome) => {
        // Answered in the same turn: the next frame may be somebody's update to this very snapshot.
        if (outcome._tag === "Stored" || (outcome._tag === "Refused" && outcome.refusal._tag === "AlreadyStored")) {
          connection.send(Wire.snapshotSaved(message.snapshotId))
          turn.release(connection.id)
          resume(Effect.undefined)
        } else if (outcome._tag === "Unavailable") {
          connection.send(Wire.snapshotSaveFailed)
          connection.close(CloseCode.tryAgainLater, "the storage is not available")
          resume(Effect.undefined)
        } else {
          if (carriesContent(outcome.refusal)) {
            feed.hold()
            if (room.state().active !== undefined) goFirst()
          }
          resume(Effect.succeed(outcome.refusal))
        }
      })
    })
    if (refusal === undefined) return
    if (!carriesContent(refusal)) return connection.send(Wire.snapshotSaveFailed)
    yield* sendAnew((tail) => {
      const document = documentOf(tail)
      if (document.snapshot === undefined) return Effect.succeed(Wire.snapshotSaveFailed)
      return refusedContent(
        room.key,
        document,
        message.parentSnapshotId,
        message.parentSnapshotUpdateClocks,
        told
      ).pipe(
        Effect.map((content) => Wire.contentFrame("snapshot-save-failed", content)),
        Effect.provideService(EventLog, log)
      )
    }, release)
  })

  /**
   * After an eviction, a snapshot without all of what was evicted would drop what other clients still have, and they
   * could not follow it. While one that has all is connected, and so was asked, it goes first.
   */
  const letOthersRestore = (message: Wire.SnapshotMessage): Effect.Effect<void> => {
    const { evicted } = room.state()
    if (evicted === undefined) return Effect.void
    const hasAll =
      message.parentSnapshotId === evicted.snapshot.snapshotId &&
      covers(message.parentSnapshotUpdateClocks, evicted.clocks)
    // Who was sent all is refused and tries again with it at once.
    const canHaveAll = holder.holds() === evicted.snapshot.snapshotId
    return hasAll || canHaveAll ? Effect.void : room.local.restoration.awaitOthers(holder)
  }

  const isAllowed = (message: Wire.SnapshotMessage | Wire.UpdateMessage | Wire.EphemeralMessage) =>
    access.allows(grant, actionOf(message, documentId))

  const receive = Effect.fnUntraced(function* (texts: ReadonlyArray<string>) {
    const messages = texts.map(decode)
    const genuine = yield* verifyAll(messages)
    for (const [i, message] of messages.entries()) {
      if (connection.isSentAway()) return
      yield* receiveMessage(message, genuine[i] ?? false)
    }
  })

  /** For each message, whether its signature is; what is none has none. */
  const verifyAll = (messages: ReadonlyArray<Wire.ClientMessage>): Effect.Effect<ReadonlyArray<boolean>> => {
    const signed = messages.flatMap((message) => ("signed" in message ? [message.signed] : []))
    if (signed.length === 0) return Effect.succeed([])
    return Effect.map(signatures.verify(signed), (genuine) => {
      let next = 0
      return messages.map((message) => "signed" in message && genuine[next++] === true)
    })
  }

  const receiveMessage = Effect.fnUntraced(function* (message: Wire.ClientMessage, isGenuine: boolean) {
    if (!settling.heard()) return yield* handle(message, isGenuine)
    // A snapshot that is refused is answered before what follows.
    if (message._tag !== "Snapshot") release()
    yield* handle(message, isGenuine)
    if (!settling.isUnderWay()) release()
  })

  const handle = Effect.fnUntraced(function* (message: Wire.ClientMessage, isGenuine: boolean) {
    switch (message._tag) {
      case "NotJson":
        return connection.close(CloseCode.notUtf8OrJson, "a frame is JSON text")
      case "NotAMessage":
        return connection.close(CloseCode.policy, "not a snapshot, update or ephemeral message")
      case "MalformedSnapshot":
        return connection.send(Wire.snapshotSaveFailed)
      case "MalformedUpdate":
        return connection.send(Wire.updateSaveFailed(message.snapshotId, message.clock, false))
    }
    if (!(yield* isAllowed(message))) return refuseAccess(connection)
    switch (message._tag) {
      case "Snapshot":
        if (!isGenuine) return connection.send(Wire.snapshotSaveFailed)
        return yield* receiveSnapshot(message)
      case "Update":
        if (!isGenuine) return connection.send(Wire.updateSaveFailed(message.refSnapshotId, message.clock, false))
        return yield* receiveUpdate(message)
      case "Ephemeral":
        if (!isGenuine) return connection.close(CloseCode.policy, "an ephemeral message is not signed by its key")
        if (message.documentId !== documentId) return connection.close(CloseCode.policy, "another document's message")
        return room.relay(Wire.ephemeralFrame(message.payload), feed.subscriber)
    }
  })

  // ---- opening

  yield* room.subscribe(feed.subscriber)
  yield* Effect.acquireRelease(
    Effect.sync(() => room.local.restoration.join(holder)),
    () =>
      Effect.sync(() => {
        room.local.restoration.leave(holder)
        turn.release(connection.id)
      })
  )
  const documentFrame = (tail: Tail) =>
    request.known.snapshotId === undefined
      ? Effect.sync(() => completeFrame(tail))
      : loadContent(room.key, documentOf(tail), request.mode, request.known).pipe(
          Effect.map((content) => Wire.contentFrame("document", content)),
          Effect.provideService(EventLog, log)
        )
  const reload = sendAnew(documentFrame, settle).pipe(
    Effect.catch(() => Effect.sync(() => connection.close(CloseCode.tryAgainLater, "the storage is not available")))
  )
  const tail = yield* feed.sendDocument(documentFrame)
  holds = heldAfterLoading(tail, request.known)
  told = documentOf(tail).snapshot?.snapshotId ?? request.known.snapshotId
  isBehind = evictedOf(tail) !== undefined && holds === undefined && request.known.snapshotId !== undefined
  settle(tail)
  return { receive, answered: noneInFlight.await } satisfies Session
})

/** Refusals whose answer brings the author up to date. */
const carriesContent = (refusal: DocumentRefusal): boolean =>
  refusal._tag === "SnapshotOutdated" || refusal._tag === "SnapshotMissesUpdates" || refusal._tag === "SnapshotIdUsed"

const actionOf = (
  message: Wire.SnapshotMessage | Wire.UpdateMessage | Wire.EphemeralMessage,
  documentId: DocumentId
): Action => {
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
