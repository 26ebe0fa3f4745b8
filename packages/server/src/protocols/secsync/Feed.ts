/**
 * What one connection is told of a document: the document as of some version, then every later event once and in order.
 * While a document is being read, events gather behind it.
 */
import { Effect } from "effect"
import type { StorageUnavailable } from "../../EventLog.ts"
import type { Committed, Subscriber } from "../../RoomProtocol.ts"
import type { Tail } from "../../Tails.ts"
import { CloseCode, type Connection } from "../Connection.ts"
import type { Frame } from "../Frame.ts"
import type { DocumentRoom } from "./DocumentRooms.ts"

export interface Feed {
  readonly subscriber: Subscriber
  /** From now on events gather, until `release`. A feed begins like this. */
  readonly hold: () => void
  /** Reads the document and sends what `frameOf` makes of it; what gathers then is what is not in it. */
  readonly sendDocument: (
    frameOf: (tail: Tail) => Effect.Effect<Frame, StorageUnavailable>
  ) => Effect.Effect<Tail, StorageUnavailable>
  /** Whether events gather, so that the client does not have all of them. */
  readonly isHolding: () => boolean
  /** Sends what has gathered, and from now on everything at once. */
  readonly release: () => void
}

/** Bytes that may gather behind a document that is being read. */
const MAX_GATHERED_BYTES = 32 * 1024 * 1024

export const makeFeed = (
  room: DocumentRoom,
  connection: Connection,
  /** Told of every event after the document, own ones included, before the client is; true: it is not sent this one. */
  onEvent: (committed: Committed) => boolean
): Feed => {
  /** Events up to this version are in what the client was sent as a document. */
  let cut = -1
  let gathered: Array<Committed> | undefined = []
  let bytes = 0

  const deliver = (committed: Committed): void => {
    if (gathered === undefined) return pass(committed)
    gathered.push(committed)
    bytes += committed.frame?.length ?? 0
    if (bytes > MAX_GATHERED_BYTES) connection.close(CloseCode.tryAgainLater, "too much to catch up with")
  }

  const pass = (committed: Committed): void => {
    const { event, frame } = committed
    if (event.version <= cut || onEvent(committed)) return
    if (frame !== undefined && event.origin !== connection.id) connection.send(frame)
  }

  return {
    subscriber: {
      id: connection.id,
      deliver,
      relay: (frame) => {
        if (gathered === undefined) connection.sendVolatile(frame)
      }
    },
    hold: () => {
      gathered ??= []
    },
    isHolding: () => gathered !== undefined,
    sendDocument: Effect.fnUntraced(function* (frameOf) {
      const tail = yield* room.tail
      connection.send(yield* frameOf(tail))
      cut = tail.head.version
      return tail
    }),
    release: () => {
      const behind = gathered ?? []
      gathered = undefined
      bytes = 0
      // One of them may have a document read again: then the rest gather once more.
      for (const committed of behind) deliver(committed)
    }
  }
}
