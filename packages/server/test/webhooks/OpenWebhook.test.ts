/** A webhook's stream stays quick to open, however long it is, and `replay` decides all of it again. */
import { assert, it } from "@effect/vitest"
import { Context, Effect, HashMap, Layer, Option } from "effect"
import * as MemoryEventLog from "../../src/adapters/MemoryEventLog.ts"
import { replay } from "../../src/admin/Replay.ts"
import { addWebhook } from "../../src/admin/Webhooks.ts"
import { place } from "../../src/domain/Stream.ts"
import { toNewEvent, webhookStream } from "../../src/domain/webhooks/Events.ts"
import { EventLog } from "../../src/ports/EventLog.ts"
import { Signals } from "../../src/ports/Signals.ts"
import { Signatures } from "../../src/signatures/Signatures.ts"
import { openWebhook } from "../../src/webhooks/OpenWebhook.ts"

const start = Effect.gen(function* () {
  const services = yield* Layer.build(
    Layer.mergeAll(MemoryEventLog.layerMemory, Signals.layerNone, Signatures.layerInline)
  )
  const log = Context.get(services, EventLog)
  const { id, secret } = yield* Effect.provide(addWebhook({ url: "https://example.org/hook" }), services)
  return { id, secret, log, key: webhookStream(id), verify: Effect.provide(replay(), services) }
})

it.effect("after many records a process reads little, and the secret and the positions are there", () =>
  Effect.gen(function* () {
    const { id, key, log, secret, verify } = yield* start
    const webhook = yield* openWebhook(log, id)
    yield* webhook.write({ _tag: "WebhookClaimed", owner: "a", until: 100 })
    for (let version = 1; version <= 1200; version++) {
      const positions = [[`notes/${version % 10}`, version]] as const
      yield* webhook.write({ _tag: "WebhookAdvanced", owner: "a", until: 100, positions })
      yield* webhook.keep("a", 100)
    }
    const { events } = yield* log.tail(key)
    assert.isBelow(events.length, 600)
    const again = (yield* openWebhook(log, id)).state()
    assert.strictEqual(again.secret, secret)
    assert.strictEqual(again.settings?.url, "https://example.org/hook")
    assert.strictEqual(Option.getOrThrow(HashMap.get(again.positions, "notes/7")), 1197)
    const held = (yield* log.read(key, { after: 0 })).filter(({ payload }) => payload !== null)
    assert.lengthOf(held, 1, "payloads of earlier checkpoints are still there")
    assert.deepStrictEqual((yield* verify).problems, [])
  })
)

it.effect("libraries that stop at a time write one checkpoint together", () =>
  Effect.gen(function* () {
    const { id, key, log } = yield* start
    const webhook = yield* openWebhook(log, id)
    yield* webhook.write({ _tag: "WebhookClaimed", owner: "a", until: 100 })
    for (let version = 1; version <= 500; version++) {
      yield* webhook.write({ _tag: "WebhookAdvanced", owner: "a", until: 100, positions: [["notes/a", version]] })
    }
    yield* Effect.all(
      Array.from({ length: 8 }, () => webhook.keep("a", 100)),
      { concurrency: "unbounded" }
    )
    const kept = (yield* log.read(key, { after: 0 })).filter(({ event }) => event.type === "WebhookKept")
    assert.lengthOf(kept, 1)
  })
)

it.effect("two processes that write at the same time decide one after the other", () =>
  Effect.gen(function* () {
    const { id, log, verify } = yield* start
    const [a, b] = [yield* openWebhook(log, id), yield* openWebhook(log, id)]
    assert.isUndefined(yield* a.write({ _tag: "WebhookClaimed", owner: "a", until: 100 }))
    assert.strictEqual((yield* b.write({ _tag: "WebhookClaimed", owner: "b", until: 100 }))?._tag, "Claimed")
    assert.strictEqual(b.state().claim?.owner, "a")
    assert.deepStrictEqual((yield* verify).problems, [])
  })
)

it.effect("an operator's command is written although a server writes all the time", () =>
  Effect.gen(function* () {
    const { id, key, log } = yield* start
    yield* (yield* openWebhook(log, id)).write({ _tag: "WebhookClaimed", owner: "a", until: 100 })
    let appends = 0
    let isHeld = false
    const busy: EventLog["Service"] = {
      ...log,
      append: (batch, options) =>
        Effect.gen(function* () {
          appends += 1
          const server = yield* openWebhook(log, id)
          const positions = [["notes/a", appends]] as const
          if (!isHeld && appends < 50)
            yield* server.write({ _tag: "WebhookAdvanced", owner: "a", until: 100, positions })
          return yield* log.append(batch, options)
        }),
      exclusively: (held, use) =>
        Effect.suspend(() => {
          assert.deepStrictEqual(held, key)
          isHeld = true
          return Effect.ensuring(
            log.exclusively(held, use),
            Effect.sync(() => {
              isHeld = false
            })
          )
        })
    }
    const command = yield* openWebhook(busy, id)
    assert.isUndefined(yield* command.write({ _tag: "WebhookRemoved" }))
    assert.strictEqual(appends, 2)
  })
)

it.effect("replay reports an event that the rules refuse", () =>
  Effect.gen(function* () {
    const { id, key, log, verify } = yield* start
    const webhook = yield* openWebhook(log, id)
    yield* webhook.write({ _tag: "WebhookClaimed", owner: "a", until: 100 })
    const { head } = yield* log.tail(key)
    const { event } = toNewEvent({ _tag: "WebhookClaimed", owner: "b", until: 200 })
    const events = [{ event: place(key, head, event, "forged", 50), payload: null }] as const
    yield* log.append([{ key, expectedVersion: head.version, events }])
    const { problems } = yield* verify
    assert.deepStrictEqual(
      problems.map(({ problem, version }) => [version, problem]),
      [[3, "rule-broken"]]
    )
  })
)
