/** A webhook as this process knows it: its state, read from its stream and written to it. */
import { Clock, Effect, Result } from "effect"
import { allAtOnce, type Steps } from "../domain/Steps.ts"
import { advance, place, type StreamHead, type StreamKey, WEBHOOK_KEPT } from "../domain/Stream.ts"
import {
  contentOfState,
  decide,
  evolved,
  initial,
  type WebhookRefusal,
  type WebhookState
} from "../domain/webhooks/Decide.ts"
import {
  payloadOf,
  toNewEvent,
  type WebhookContent,
  type WebhookEvent,
  type WebhookId,
  webhookStream
} from "../domain/webhooks/Events.ts"
import { inTurns } from "../internal/inTurns.ts"
import type { EventLog, PlacedEvent, StorageUnavailable } from "../ports/EventLog.ts"
import { attemptUntilFirst } from "../rooms/optimisticAppend.ts"

/** Events after a checkpoint, until the next one is written. */
const TAIL_EVENTS = 500

/** Reads a webhook from its stream, in turns: it may name every stream of a log. */
export const openWebhook = Effect.fnUntraced(function* (log: EventLog["Service"], id: WebhookId) {
  const key = webhookStream(id)
  const { events, head } = yield* log.tail(key)
  const state = yield* inTurns(stateAfter(events))
  return new OpenWebhook(log, id, key, head, { state, tail: events.length })
})

const stateAfter = function* (events: ReadonlyArray<PlacedEvent>): Steps<WebhookState> {
  let state = initial
  for (const { event, payload } of events) {
    state = yield* evolved(state, event, payload)
    yield
  }
  return state
}

/** An event that is written if the rules accept it, and its payload. */
export interface Written {
  readonly event: WebhookEvent
  /** The event's payload. */
  readonly content?: WebhookContent
  /** Deletes every payload before. */
  readonly purges?: boolean
}

export class OpenWebhook {
  readonly id: WebhookId
  private readonly log: EventLog["Service"]
  private readonly key: StreamKey
  private head: StreamHead
  private current: WebhookState
  private tail: number
  private isReplayed = false

  /** `tail`: the events from the last checkpoint on. */
  constructor(
    log: EventLog["Service"],
    id: WebhookId,
    key: StreamKey,
    head: StreamHead,
    { state, tail }: { readonly state: WebhookState; readonly tail: number }
  ) {
    this.log = log
    this.id = id
    this.key = key
    this.head = head
    this.current = state
    this.tail = tail
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
    return this.append(ORIGIN, () => Effect.succeed({ event }))
  }

  /** Writes a checkpoint if the stream has grown long since the last one, so that a process opens it quickly. */
  keep(owner: string, until: number): Effect.Effect<unknown, StorageUnavailable> {
    if (this.tail < TAIL_EVENTS || this.current.secret === undefined) return Effect.void
    return this.append(ORIGIN, (state, before) =>
      Effect.map(inTurns(contentOfState(state)), (content) => {
        // Several libraries may stop at a time. The first one's checkpoint serves all.
        if (this.tail < TAIL_EVENTS) return undefined
        return { event: { _tag: "WebhookKept", owner, until, before }, content, purges: true }
      })
    )
  }

  /**
   * Writes the event that `make` returns for the state and for the version that the event will have. Calls `make` again after each
   * conflict. `make` returns undefined if there is nothing to do.
   */
  append(
    origin: string,
    make: (state: WebhookState, version: number) => Effect.Effect<Written | undefined>
  ): Effect.Effect<WebhookRefusal | undefined, StorageUnavailable> {
    return Effect.map(attemptUntilFirst(this.log, this.key, this.attempts(origin, make)), ({ refusal }) => refusal)
  }

  /** Returns an attempt, which gives undefined when another writer was faster. Each but the first one begins with what was written. */
  private attempts(
    origin: string,
    make: (state: WebhookState, version: number) => Effect.Effect<Written | undefined>
  ): Effect.Effect<{ readonly refusal: WebhookRefusal | undefined } | undefined, StorageUnavailable> {
    let isFirst = true
    return Effect.gen({ self: this }, function* () {
      if (!isFirst) yield* this.refresh()
      isFirst = false
      // Other work goes on while a content is made. If it writes, this is a conflict.
      const { current, head } = this
      const made = yield* make(current, head.version + 1)
      if (made === undefined) return { refusal: { _tag: "NothingToDo" } as const }
      const now = yield* Clock.currentTimeMillis
      const decided = decide(current, made.event, now)
      if (Result.isFailure(decided)) return { refusal: decided.failure }
      const payload = made.content && (yield* inTurns(payloadOf(made.content)))
      const written = toNewEvent(decided.success, payload)
      const placed = { event: place(this.key, head, written.event, origin, now), payload: written.payload }
      const next = yield* inTurns(after(current, placed))
      const [result] = yield* this.log.append([
        {
          key: this.key,
          expectedVersion: head.version,
          events: [placed],
          ...(made.purges === true && { purgeBefore: placed.event.version })
        }
      ])
      if (result?._tag !== "Committed") return undefined
      this.take(placed, next)
      return { refusal: undefined }
    })
  }

  /** `next`: the state after the event, if it is known. */
  private take(placed: PlacedEvent, next?: WebhookState): void {
    const { event } = placed
    // Two reads may run at a time and return the same events.
    if (event.version !== this.head.version + 1) return
    this.current = next ?? allAtOnce(after(this.current, placed))
    this.head = advance(this.head, event)
    this.tail = event.checkpoint ? 0 : this.tail + 1
    if (event.type === "WebhookReplayed") this.isReplayed = true
  }
}

/** The state after an event. A checkpoint holds what the events before it gave, so its payload need not be read for that. */
const after = (state: WebhookState, { event, payload }: PlacedEvent): Steps<WebhookState> =>
  evolved(state, event, event.type === WEBHOOK_KEPT ? null : payload)

const ORIGIN = "@webhooks"
