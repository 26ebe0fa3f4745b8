/**
 * A connection whose frames wait while the app's policy is asked whether the client may receive them. Only a server with a
 * policy puts it between a session and its socket.
 */
import { Effect } from "effect"
import type { DocumentId } from "../../domain/Ids.ts"
import type { Grant } from "../../ports/Access.ts"
import { CloseCode, type Connection } from "../../protocols/Connection.ts"
import type { Frame } from "../../protocols/Frame.ts"
import type { AccessControl, AccessWatcher, Ask } from "../../rooms/AccessControl.ts"

export interface ReceiveGateOptions {
  readonly grant: Grant
  /** undefined: all of the library. */
  readonly documentId: DocumentId | undefined
  /** The protocol's frame that tells a client that it has no access. It does not wait. */
  readonly refusal: Frame
  readonly run: (effect: Effect.Effect<void>) => void
  /** Bytes that may wait for an answer, besides one larger frame. Above it, the connection is closed with 1013. */
  readonly maxBufferedBytes: number
}

/** Returns the connection that a session gets: a gate, which hears of changes of rights until the scope closes. */
export const gateFor = Effect.fnUntraced(function* (
  { ask, asksForEachEvent, watch }: AccessControl["Service"],
  connection: Connection,
  options: ReceiveGateOptions
) {
  if (ask === undefined) return connection
  const gate = new ReceiveGate(connection, { ...options, ask, asksForEachEvent })
  yield* watch(gate)
  return gate
})

interface Questions {
  readonly ask: Ask
  /** Asks before each event, and not only after a change of rights. */
  readonly asksForEachEvent: boolean
}

export class ReceiveGate implements Connection, AccessWatcher {
  readonly id: string
  readonly grant: Grant
  readonly documentId: DocumentId | undefined
  private readonly connection: Connection
  private readonly options: ReceiveGateOptions & Questions
  private waiting: Array<ReadonlyArray<Uint8Array>> = []
  private waitingBytes = 0
  private isAsking = false
  /** The rights have changed since the question that is asked. Its answer does not count. */
  private isStale = false
  private waiters: Array<() => void> = []

  constructor(connection: Connection, options: ReceiveGateOptions & Questions) {
    this.id = connection.id
    this.grant = options.grant
    this.documentId = options.documentId
    this.connection = connection
    this.options = options
  }

  send(...frame: ReadonlyArray<Uint8Array>): void {
    const { asksForEachEvent, refusal } = this.options
    const waits = (this.isAsking || asksForEachEvent) && frame[0] !== refusal
    if (!waits) return this.connection.send(...frame)
    let length = 0
    for (const piece of frame) length += piece.length
    if (this.waitingBytes > 0 && this.waitingBytes + length > this.options.maxBufferedBytes) {
      return this.close(CloseCode.tryAgainLater, "too much waits for the access policy")
    }
    this.waiting.push(frame)
    this.waitingBytes += length
    if (!this.isAsking) this.ask()
  }

  /** Waits as other frames do, so that a message keeps its place. */
  sendVolatile(frame: Frame): void {
    if (!this.isAsking && !this.options.asksForEachEvent) this.connection.sendVolatile(frame)
    else this.send(frame)
  }

  hold(piece: Uint8Array): () => void {
    return this.connection.hold(piece)
  }

  close(code: number, reason: string): void {
    this.drop()
    this.connection.close(code, reason)
  }

  isSentAway(): boolean {
    return this.connection.isSentAway()
  }

  askAgain(): Effect.Effect<void> {
    this.isStale = true
    if (!this.isAsking) this.ask()
    return Effect.callback((resume) => {
      if (this.isAsking) this.waiters.push(() => resume(Effect.void))
      else resume(Effect.void)
    })
  }

  private ask(): void {
    this.isAsking = true
    const { options } = this
    const decide = Effect.gen({ self: this }, function* () {
      while (!this.isSentAway() && (this.isStale || this.waiting.length > 0)) {
        this.isStale = false
        const asked = this.waiting.length
        const mayReceive = yield* options.ask(this.grant, { _tag: "Receive", documentId: this.documentId })
        if (this.isStale || this.isSentAway()) continue
        if (!mayReceive) return this.refuse()
        // The answer is for the events that it was asked for. After a change of rights it is for all.
        this.release(options.asksForEachEvent ? asked : this.waiting.length)
      }
    }).pipe(
      Effect.catchTag("AccessUndecided", ({ message }) =>
        Effect.sync(() => this.close(CloseCode.tryAgainLater, message))
      ),
      Effect.ensuring(Effect.sync(() => this.answered()))
    )
    options.run(decide)
  }

  private refuse(): void {
    this.connection.send(this.options.refusal)
    this.close(CloseCode.forbidden, "not allowed")
  }

  private answered(): void {
    this.isAsking = false
    const { waiters } = this
    this.waiters = []
    for (const resume of waiters) resume()
  }

  private release(count: number): void {
    for (const frame of this.waiting.splice(0, count)) {
      for (const piece of frame) this.waitingBytes -= piece.length
      this.connection.send(...frame)
    }
  }

  private drop(): void {
    this.waiting = []
    this.waitingBytes = 0
  }
}
