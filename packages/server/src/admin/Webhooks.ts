/** Adds, shows and removes webhooks, lets libraries go on that one did not take a change of, and tries a receiver. */
import { randomBytes } from "node:crypto"
import { Clock, Duration, Effect, HashMap, Schema } from "effect"
import type { Attribution } from "../domain/Administration.ts"
import { type ChangeType, holdsChanges } from "../domain/changes/ChangeMessage.ts"
import type { LibraryId } from "../domain/Ids.ts"
import { type StreamKey, streamName, WEBHOOK_REMOVED } from "../domain/Stream.ts"
import { covers, replayedOf, type WebhookState } from "../domain/webhooks/Decide.ts"
import { WebhookId, webhookStream } from "../domain/webhooks/Events.ts"
import { EventLog } from "../ports/EventLog.ts"
import { Signals } from "../ports/Signals.ts"
import { streamsWithMore } from "../protocols/changes/GrownStreams.ts"
import { type Outcome, post } from "../webhooks/Delivery.ts"
import { listWebhookIds } from "../webhooks/listWebhookIds.ts"
import { openWebhook, type Written } from "../webhooks/OpenWebhook.ts"
import { newSecret } from "../webhooks/Signature.ts"
import { eachStream } from "./Inspect.ts"

/** The log has no such webhook, or it was removed. */
export class NoSuchWebhook extends Schema.TaggedError<NoSuchWebhook>()("NoSuchWebhook", { id: Schema.String }) {
  override get message(): string {
    return `The log has no webhook ${this.id}.`
  }
}

/** There are as many webhooks as a server delivers to. */
export class TooManyWebhooks extends Schema.TaggedError<TooManyWebhooks>()("TooManyWebhooks", { max: Schema.Finite }) {
  override get message(): string {
    return `The log has ${this.max} webhooks, and a server delivers to no more.`
  }
}

/** Webhooks of a log. Each costs every commit a look at its list of libraries. */
export const MAX_WEBHOOKS = 100

export interface NewWebhook {
  readonly url: string
  /** Default: all libraries, also those that are made later. At most 100. */
  readonly libraries?: ReadonlyArray<LibraryId>
  /** Default: all types. */
  readonly types?: ReadonlyArray<ChangeType>
  /** Where deliveries begin: with the next change of each stream (default), or with the first one. */
  readonly from?: "now" | "start"
}

export interface WebhookSummary {
  readonly id: WebhookId
  readonly url: string
  /** null: all. */
  readonly libraries: ReadonlyArray<LibraryId> | null
  readonly types: ReadonlyArray<ChangeType> | null
  /** Milliseconds since 1970. */
  readonly createdAt: number
  /** When a delivery was last recorded, some seconds after it. A change of no type of the webhook counts as well. null: none known. */
  readonly deliveredAt: number | null
  /** Libraries whose changes wait for a replay. */
  readonly stopped: number
}

/** A range of changes that a webhook did not take: the first was tried, and the others wait behind it. */
export interface DeadLetter {
  readonly libraryId: LibraryId
  readonly streamId: string
  readonly fromVersion: number
  /** The stream's last version now. */
  readonly toVersion: number
  readonly attempts: number
  /** The receiver's last answer. */
  readonly problem: string
  readonly since: number
}

export interface WebhookDetails extends WebhookSummary {
  /** Streams with changes that are not delivered; deliveries of the last seconds may not be counted yet. */
  readonly streamsBehind: number
  readonly deadLetters: ReadonlyArray<DeadLetter>
}

/** Adds a webhook. Returns its id, and its secret, which is not shown again. Fails with `TooManyWebhooks`. */
export const addWebhook = Effect.fn("addWebhook")(function* (
  { from = "now", libraries, types, url }: NewWebhook,
  by: Attribution = {}
) {
  if ((yield* countWebhooks()) >= MAX_WEBHOOKS) return yield* new TooManyWebhooks({ max: MAX_WEBHOOKS })
  const id = WebhookId.make(randomBytes(6).toString("hex"))
  const secret = newSecret()
  const settings = {
    ...({ _tag: "WebhookAdded", url } as const),
    ...(libraries !== undefined && { libraries }),
    ...(types !== undefined && { types }),
    ...by
  }
  const positions: Array<readonly [string, number]> = []
  if (from === "now") {
    yield* eachStream({ payloads: false }, ({ key, version }) =>
      Effect.sync(() => {
        const isCovered = libraries === undefined || libraries.includes(key.libraryId)
        if (isCovered && holdsChanges(key)) positions.push([streamName(key), version])
      })
    )
  }
  yield* decideOn(id, "add", () => ({ event: settings, content: { secret, positions, stops: [] } }))
  return { id, secret }
})

/** The webhooks that were not removed, without a look at their payloads. */
const countWebhooks = Effect.fnUntraced(function* () {
  const log = yield* EventLog
  let count = 0
  for (const id of yield* listWebhookIds(log)) {
    const { events } = yield* log.tail(webhookStream(id), { payloads: false })
    if (!events.some(({ event }) => event.type === WEBHOOK_REMOVED)) count += 1
  }
  return count
})

/** The webhooks, by their ids. */
export const listWebhooks = Effect.fn("listWebhooks")(function* () {
  const log = yield* EventLog
  const found: Array<WebhookSummary> = []
  for (const id of yield* listWebhookIds(log)) {
    const summary = summaryOf(id, (yield* openWebhook(log, id)).state())
    if (summary !== undefined) found.push(summary)
  }
  return found
})

/** Fails with `NoSuchWebhook`. */
export const showWebhook = Effect.fn("showWebhook")(function* (id: WebhookId) {
  const log = yield* EventLog
  const state = (yield* openWebhook(log, id)).state()
  const summary = summaryOf(id, state)
  if (summary === undefined) return yield* new NoSuchWebhook({ id })
  const readUpTo = (key: StreamKey) => (covers(state, key.libraryId) ? versionOf(state, key) : undefined)
  const behind = yield* streamsWithMore("all", readUpTo)
  const stops = Array.from(state.stops)
  const heads = yield* log.heads(stops.map(([libraryId, { streamId }]) => ({ libraryId, streamId })))
  const deadLetters = stops.map(
    ([libraryId, { attempts, problem, since, streamId, version }], i): DeadLetter => ({
      ...{ libraryId, streamId, fromVersion: version, toVersion: heads[i]?.version ?? version },
      ...{ attempts, problem, since }
    })
  )
  return { ...summary, streamsBehind: behind.length, deadLetters } satisfies WebhookDetails
})

/** Removes a webhook and its secret. The log keeps that it was there. Fails with `NoSuchWebhook`. */
export const removeWebhook = Effect.fn("removeWebhook")(function* (id: WebhookId, by: Attribution = {}) {
  const refusal = yield* decideOn(id, "remove", () => ({ event: { _tag: "WebhookRemoved", ...by }, purges: true }))
  if (refusal !== undefined) return yield* new NoSuchWebhook({ id })
})

export interface Replay {
  /** Default: all that wait. */
  readonly libraryId?: LibraryId
  /** Goes on after the change that was not taken: the receiver misses it. Default: false, it is tried again. */
  readonly skip?: boolean
  /** Only if this is the version that waits in `libraryId`. */
  readonly version?: number
}

/** Lets libraries go on. Returns the libraries that waited. Fails with `NoSuchWebhook`. */
export const replayWebhook = Effect.fn("replayWebhook")(function* (
  id: WebhookId,
  { libraryId, skip = false, version }: Replay = {},
  by: Attribution = {}
) {
  let waited: ReadonlyArray<LibraryId> = []
  const scope = libraryId === undefined ? {} : { libraryId }
  const refusal = yield* decideOn(id, "replay", (state) => {
    const stops = replayedOf(state, libraryId).filter(([, stop]) => version === undefined || stop.version === version)
    waited = stops.map(([stopped]) => stopped)
    if (version !== undefined && state.settings !== undefined && stops.length === 0) return undefined
    return { event: { _tag: "WebhookReplayed", ...scope, ...(skip && { skip: true as const }), ...by } }
  })
  if (refusal?._tag === "NotThere") return yield* new NoSuchWebhook({ id })
  return waited
})

/** How long a receiver may take for a test message. */
const TEST_TIMEOUT = Duration.seconds(15)

/** Sends a message of the type `webhook.test` from this machine, once, and returns the outcome. Fails with `NoSuchWebhook`. */
export const testWebhook: (
  id: WebhookId,
  timeout?: Duration.Duration
) => Effect.Effect<Outcome, NoSuchWebhook | Effect.Error<ReturnType<typeof openWebhook>>, EventLog> = Effect.fn(
  "testWebhook"
)(function* (id, timeout = TEST_TIMEOUT) {
  const { secret, settings } = (yield* openWebhook(yield* EventLog, id)).state()
  if (settings === undefined || secret === undefined) return yield* new NoSuchWebhook({ id })
  const timestamp = new Date(yield* Clock.currentTimeMillis).toISOString()
  const body = JSON.stringify({ type: "webhook.test", timestamp, data: { webhookId: id } })
  return yield* post({ url: settings.url, secret }, { id: `msg_${crypto.randomUUID()}`, body }, timeout)
})

const versionOf = ({ positions }: WebhookState, key: StreamKey): number => {
  const found = HashMap.get(positions, streamName(key))
  return found._tag === "Some" ? found.value : 0
}

const summaryOf = (
  id: WebhookId,
  { advancedAt, createdAt, settings, stops }: WebhookState
): WebhookSummary | undefined =>
  settings && {
    ...{ id, url: settings.url, libraries: settings.libraries ?? null, types: settings.types ?? null },
    ...{ createdAt, deliveredAt: advancedAt ?? null, stopped: HashMap.size(stops) }
  }

const decideOn = Effect.fnUntraced(function* (
  id: WebhookId,
  command: string,
  make: (state: WebhookState) => Written | undefined
) {
  const signals = yield* Signals
  const webhook = yield* openWebhook(yield* EventLog, id)
  const refusal = yield* webhook.append(`sync-admin webhook ${command}`, (state) => Effect.sync(() => make(state)))
  if (refusal === undefined) yield* signals.announce([webhookStream(id)])
  return refusal
})
