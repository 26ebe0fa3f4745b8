/**
 * Delivers changes to the webhooks that operators added, in the background. Several processes share them: a process claims a
 * webhook in its stream before it delivers, and the others wait until that claim has ended.
 */
import { Cause, Clock, Effect, type Fiber, HashMap, Layer, Schedule } from "effect"
import { type StreamKey, WEBHOOK_REMOVED } from "../domain/Stream.ts"
import { covers } from "../domain/webhooks/Decide.ts"
import { type WebhookId, webhookOf, webhookStream } from "../domain/webhooks/Events.ts"
import * as Metrics from "../metrics/Metrics.ts"
import { EventLog } from "../ports/EventLog.ts"
import { type Grown, GrownStreams, streamsWithMore } from "../protocols/changes/GrownStreams.ts"
import { Dispatcher } from "./Dispatcher.ts"
import { listWebhookIds } from "./listWebhookIds.ts"
import { type OpenWebhook, openWebhook } from "./OpenWebhook.ts"
import { defaultWebhookOptions, millisOf, type WebhookOptions } from "./WebhookOptions.ts"

/** A webhook that failed, for an unavailable storage for example, is opened again after this. */
const REOPEN = Schedule.min([Schedule.exponential("100 millis"), Schedule.spaced("10 seconds")])

/** Delivers until the scope closes. */
export const layerWebhooks = (
  given: Partial<WebhookOptions> = {}
): Layer.Layer<never, never, EventLog | GrownStreams> => {
  const options = { ...defaultWebhookOptions, ...given }
  return options.deliver ? Layer.effectDiscard(deliverAll(options)) : Layer.empty
}

const deliverAll = Effect.fnUntraced(function* (options: WebhookOptions) {
  const log = yield* EventLog
  const grown = yield* (yield* GrownStreams).listen((key) => webhookOf(key) !== undefined)
  const owner = crypto.randomUUID()
  const running = new Map<WebhookId, Fiber.Fiber<void>>()
  const open = new Map<WebhookId, { readonly webhook: OpenWebhook; readonly dispatcher: Dispatcher }>()
  yield* readMetrics(open)

  const runOne = (id: WebhookId) =>
    Effect.gen(function* () {
      const webhook = yield* openWebhook(log, id)
      const dispatcher = new Dispatcher(log, webhook, owner, options)
      open.set(id, { webhook, dispatcher })
      yield* deliverOne(webhook, dispatcher, owner, options)
    }).pipe(
      Effect.scoped,
      Effect.tapError((error) => Effect.logWarning(`Webhook ${id} waits: ${error.message}`)),
      Effect.catchDefect((defect) =>
        Effect.andThen(Effect.logError(`Webhook ${id} failed`, Cause.die(defect)), Effect.fail("again" as const))
      ),
      Effect.retry(REOPEN),
      Effect.orDie,
      Effect.ensuring(
        Effect.sync(() => {
          open.delete(id)
          running.delete(id)
        })
      )
    )

  /** Starts the webhooks that are new. A webhook ends by itself when it is removed. */
  const removed = new Set<WebhookId>()
  const look = Effect.gen(function* () {
    for (const id of yield* listWebhookIds(log)) {
      if (running.has(id) || removed.has(id)) continue
      const { events } = yield* log.tail(webhookStream(id), { payloads: false })
      if (events.some(({ event }) => event.type === WEBHOOK_REMOVED)) removed.add(id)
      else running.set(id, yield* Effect.forkScoped(runOne(id)))
    }
  }).pipe(
    Effect.catch((error) => Effect.logWarning(error.message)),
    Effect.catchDefect((defect) => Effect.logError("Looking for webhooks failed", Cause.die(defect)))
  )
  // The first answer is "all", and so is one each minute.
  yield* Effect.forkScoped(Effect.forever(Effect.andThen(grown.take, look)))
})

/** Delivers the changes of one webhook, until it is removed. */
const deliverOne = Effect.fnUntraced(function* (
  webhook: OpenWebhook,
  dispatcher: Dispatcher,
  owner: string,
  options: WebhookOptions
) {
  const lease = millisOf(options.lease)
  const isOwnStream = (key: StreamKey) => webhookOf(key) === webhook.id
  const dispatchable = (grown: Grown) => streamsWithMore(grown, (key) => dispatcher.readUpTo(key))
  const grown = yield* (yield* GrownStreams).listen((key) => isOwnStream(key) || covers(webhook.state(), key.libraryId))
  yield* Effect.addFinalizer(() => Effect.ignore(dispatcher.release()))
  const hints = { left: [] as Grown }
  while (true) {
    if (isNothing(hints.left)) hints.left = yield* grown.take
    yield* webhook.refresh()
    if (webhook.takeReplayed()) hints.left = "all"
    const hint = hints.left
    const { claim, settings } = webhook.state()
    if (settings === undefined) return
    const now = yield* Clock.currentTimeMillis
    if (claim !== undefined && claim.owner !== owner && claim.until > now) {
      yield* Effect.sleep(Math.min(lease, claim.until - now))
      continue
    }
    const found = yield* dispatchable(hint)
    hints.left = []
    if (found.length === 0) continue
    const isOwn = claim?.owner === owner && claim.until - now > lease / 2
    if (!isOwn && (yield* webhook.write({ _tag: "WebhookClaimed", owner, until: now + lease })) !== undefined) {
      hints.left = hint
      continue
    }
    dispatcher.add(found)
    // Until the dispatcher has it, what has grown is kept for the next turn.
    const addMore = Effect.gen(function* () {
      hints.left = yield* grown.take
      if (hints.left === "all" || hints.left.some(isOwnStream)) yield* webhook.refresh()
      if (webhook.takeReplayed()) hints.left = "all"
      dispatcher.add(yield* dispatchable(hints.left))
      hints.left = []
    })
    yield* Effect.raceFirst(dispatcher.run(), Effect.forever(addMore))
    if (dispatcher.clear()) hints.left = "all"
  }
})

const isNothing = (grown: Grown): boolean => grown !== "all" && grown.length === 0

const readMetrics = Effect.fnUntraced(function* (
  open: ReadonlyMap<WebhookId, { readonly webhook: OpenWebhook; readonly dispatcher: Dispatcher }>
) {
  const clock = yield* Clock.Clock
  const all = () => Array.from(open.values())
  yield* Metrics.webhooks.at({}).read(() => open.size)
  yield* Metrics.webhookLibrariesWaiting
    .at({})
    .read(() => all().reduce((sum, { dispatcher }) => sum + dispatcher.waiting(), 0))
  yield* Metrics.webhookLibrariesStopped
    .at({})
    .read(() => all().reduce((sum, { webhook }) => sum + HashMap.size(webhook.state().stops), 0))
  yield* Metrics.webhookLagSeconds.at({}).read(() => {
    const oldest = all().flatMap(({ dispatcher }) => dispatcher.oldest() ?? [])
    return oldest.length === 0 ? 0 : Math.max(0, clock.currentTimeMillisUnsafe() - Math.min(...oldest)) / 1000
  })
})
