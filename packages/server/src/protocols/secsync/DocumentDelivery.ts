/**
 * What one connection is told of a document: the document as of some version, then every later event once and in order.
 * While a document is being read, events gather behind it.
 */
import { Effect } from "effect"
import type { StorageUnavailable } from "../../ports/EventLog.ts"
import type { Committed, Subscriber } from "../../rooms/RoomProtocol.ts"
import type { Tail } from "../../rooms/TailCache.ts"
import { CloseCode, type Connection } from "../Connection.ts"
import type { Frame } from "../Frame.ts"
import type { DocumentRoom } from "./Rooms.ts"

/** Bytes that may gather behind a document that is being read. */
const MAX_GATHERED_BYTES = 32 * 1024 * 1024

export interface DocumentObserver {
  /** Told of every event after the document, own ones included, before the client is; true: it is not sent this one. */
  readonly observe: (committed: Committed) => boolean
}

export class DocumentDelivery implements Subscriber {
  private readonly room: DocumentRoom
  private readonly connection: Connection
  private readonly observer: DocumentObserver
  /** Events up to this version are in what the client was sent as a document. */
  private cut = -1
  private gathered: Array<Committed> | undefined = []
  private bytes = 0

  constructor(room: DocumentRoom, connection: Connection, observer: DocumentObserver) {
    this.room = room
    this.connection = connection
    this.observer = observer
  }

  get id(): string {
    return this.connection.id
  }

  deliver(committed: Committed): void {
    if (this.gathered === undefined) return this.pass(committed)
    this.gathered.push(committed)
    this.bytes += committed.frame?.length ?? 0
    if (this.bytes > MAX_GATHERED_BYTES) this.connection.close(CloseCode.tryAgainLater, "too much to catch up with")
  }

  relay(frame: Frame): void {
    if (this.gathered === undefined) this.connection.sendVolatile(frame)
  }

  /** From now on events gather, until `release`. A feed begins like this. */
  hold(): void {
    this.gathered ??= []
  }

  /** Whether events gather, so that the client does not have all of them. */
  isHolding(): boolean {
    return this.gathered !== undefined
  }

  /** Sends what has gathered, and from now on everything at once. */
  release(): void {
    const behind = this.gathered ?? []
    this.gathered = undefined
    this.bytes = 0
    // One of them may have a document read again: then the rest gather once more.
    for (const committed of behind) this.deliver(committed)
  }

  /** Reads the document and sends what `frameOf` makes of it; what gathers then is what is not in it. */
  sendDocument(
    frameOf: (tail: Tail) => Effect.Effect<Frame, StorageUnavailable>,
    read = this.room.tail
  ): Effect.Effect<Tail, StorageUnavailable> {
    const { connection } = this
    return Effect.flatMap(read, (tail) =>
      Effect.map(frameOf(tail), (frame) => {
        connection.send(frame)
        this.cut = tail.head.version
        return tail
      })
    )
  }

  private pass(committed: Committed): void {
    const { event, frame } = committed
    if (event.version <= this.cut || this.observer.observe(committed)) return
    if (frame !== undefined && event.origin !== this.connection.id) this.connection.send(frame)
  }
}
