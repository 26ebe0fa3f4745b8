/** A webhook as this process knows it: its state, read from its stream and written to it. */
import { Clock, Effect, Result } from "effect"
import { advance, place, type StreamHead, type StreamKey } from "../domain/Stream.ts"
import {
  contentOfState,
  decide,
  evolve,
  initial,
  type WebhookRefusal,
  type WebhookState
} from "../domain/webhooks/Decide.ts"
import { toNewEvent, type WebhookEvent, type WebhookId, webhookStream } from "../domain/webhooks/Events.ts"
import type { EventLog, PlacedEvent, StorageUnavailable } from "../ports/EventLog.ts"

/** Events after a checkpoint, until the next one is written. */
const TAIL_EVENTS = 500

/** Reads a webhook from its stream. */
export const openWebhook = Effect.fnUntraced(function* (log: EventLog["Service"], id: WebhookId) {
  const key = webhookStream(id)
  const { events, head } = yield* log.tail(key)
  return new OpenWebhook(log, id, key, head, events)
})

export class OpenWebhook {
  readonly id: WebhookId
  private readonly log: EventLog["Service"]
  private readonly key: StreamKey
  private head: StreamHead
  private current: WebhookState
  private tail: number
  private isReplayed = false

  constructor(
    log: EventLog["Service"],
    id: WebhookId,
    key: StreamKey,
    head: StreamHead,
    events: ReadonlyArray<PlacedEvent>
  ) {
    this.log = log
    this.id = id
    this.key = key
    this.head = head
    this.current = events.reduce((state, { event, payload }) => evolve(state, event, payload), initial)
    this.tail = events.length
  }

  state(): WebhookState {
    return this.current
  }

  /** Reads what other processes and operators wrote. */
  refresh(): Effect.Effect<void, StorageUnavailable> {
    return Effect.map(this.log.read(this.key, { after: this.head.version }), (events) =>
      events.forEach((placed) => this.take(placed))
    )
  }

  /** Whether an operator let libraries go on since the last call. No signal names their streams. */
  takeReplayed(): boolean {
    const { isReplayed } = this
    this.isReplayed = false
    return isReplayed
  }

  /** Writes an event if the rules accept it. Returns the refusal; undefined: it is written. */
  write(event: WebhookEvent): Effect.Effect<WebhookRefusal | undefined, StorageUnavailable> {
    return this.append(() => ({ event }))
  }

  /** Writes a checkpoint if the stream has grown long since the last one, so that a process opens it quickly. */
  keep(owner: string, until: number): Effect.Effect<unknown, StorageUnavailable> {
    if (this.tail < TAIL_EVENTS || this.current.secret === undefined) return Effect.void
    return this.append((state, before) => ({
      event: { _tag: "WebhookKept", owner, until, before },
      state
    }))
  }

  /** Decides again after each conflict. `make` gets the version that the event will have. */
  private append(
    make: (state: WebhookState, version: number) => { readonly event: WebhookEvent; readonly state?: WebhookState }
  ): Effect.Effect<WebhookRefusal | undefined, StorageUnavailable> {
    return Effect.gen({ self: this }, function* () {
      while (true) {
        const made = make(this.current, this.head.version + 1)
        const now = yield* Clock.currentTimeMillis
        const decided = decide(this.current, made.event, now)
        if (Result.isFailure(decided)) return decided.failure
        const { event, payload } = toNewEvent(decided.success, made.state && contentOfState(made.state))
        const placed = { event: place(this.key, this.head, event, ORIGIN, now), payload }
        const [result] = yield* this.log.append([
          {
            key: this.key,
            expectedVersion: this.head.version,
            events: [placed],
            ...(made.state && { purgeBefore: placed.event.version })
          }
        ])
        if (result?._tag === "Committed") {
          this.take(placed)
          return undefined
        }
        yield* this.refresh()
      }
    })
  }

  private take({ event, payload }: PlacedEvent): void {
    // Two reads may run at a time and return the same events.
    if (event.version !== this.head.version + 1) return
    this.current = evolve(this.current, event, payload)
    this.head = advance(this.head, event)
    this.tail = event.checkpoint ? 0 : this.tail + 1
    if (event.type === "WebhookReplayed") this.isReplayed = true
  }
}

const ORIGIN = "@webhooks"
