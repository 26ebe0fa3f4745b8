/** Backends lose no change when a server process is killed, and hear of what another process stored. */
import { assert, it } from "@effect/vitest"
import { replay } from "@sealog/server/admin/Replay"
import { addWebhook } from "@sealog/server/admin/Webhooks"
import { Signatures } from "@sealog/server/signatures/Signatures"
import { Effect } from "effect"
import { openChanges } from "../support/clients/ChangeStream.ts"
import { connectVerdant, registerReplica } from "../support/clients/RawVerdant.ts"
import { spawnServer } from "../support/servers/ServerProcess.ts"
import { startServer } from "../support/servers/TestServer.ts"
import { isSigned, startReceiver } from "../support/servers/WebhookReceiver.ts"
import { freshStorage, layerOf } from "../support/storage/databases.ts"
import { until } from "../support/until.ts"
import { type Library, libraryOn } from "../support/verdant/Library.ts"
import { initialize, makeReplica } from "../support/verdant/Replica.ts"

const program = [`${import.meta.dirname}/../support/servers/serveWebhooks.ts`]

/** A replica that writes numbered items, on one server after the other. */
const makeWriter = () => {
  const replica = makeReplica()
  let written = 0
  return (library: Library, count: number) =>
    Effect.scoped(
      Effect.gen(function* () {
        const client = yield* connectVerdant(library, yield* library.token({ userId: "ada" }))
        yield* registerReplica(client, replica)
        for (let i = 0; i < count; i++) {
          written += 1
          client.send(replica.op(replica.operation(`item/${written}`, initialize({ written }))))
        }
        const acks = () => client.messages.filter(({ type }) => type === "server-ack").length
        yield* until("all are acknowledged", () => acks() >= count)
      })
    )
}

const upTo = (count: number) => Array.from({ length: count }, (_, i) => i + 1)

it.live("after kill -9 each change is delivered at least once and in order, and a listener goes on where it was", () =>
  Effect.gen(function* () {
    const database = yield* freshStorage
    const receiver = yield* startReceiver
    const { secret } = yield* Effect.orDie(Effect.provide(addWebhook({ url: receiver.url }), layerOf(database)))
    const write = makeWriter()
    const killed = yield* spawnServer(database, { program })
    const library = libraryOn(killed)
    const token = yield* library.token({ userId: "backend", changes: true })
    const stream = yield* openChanges(killed, { token, query: "?after=0" })
    yield* write(library, 50)
    // Some are on their way, and some are delivered and not recorded.
    yield* until("a part is delivered", () => receiver.taken().length > 10)
    yield* until("the listener has a part", () => stream.changes().length > 10)
    yield* killed.kill
    assert.isFalse(yield* stream.ended)

    receiver.answer(() => (receiver.received.length % 7 === 0 ? 503 : 200))
    const next = yield* spawnServer(database, { program })
    const again = yield* openChanges(next, { token, query: "?after=0", lastEventId: stream.changes().at(-1)!.id! })
    yield* write(libraryOn(next, library.id), 10)
    const items = () => receiver.taken().map(({ data }) => Number(data.documents[0].id))
    yield* until("the last is delivered", () => items().includes(60), items)
    const listened = () =>
      [...stream.changes(), ...again.changes()].map(({ data }) => Number(data.data.documents[0].id))
    yield* until("the listener has the last", () => listened().includes(60), listened)

    assert.deepStrictEqual(listened(), upTo(60))
    assert.deepStrictEqual(
      items().filter((item, i, all) => all.indexOf(item) === i),
      upTo(60)
    )
    assert.isTrue(receiver.received.every((message) => isSigned(secret, message)))
    for (const same of Map.groupBy(receiver.received, ({ data }) => data.version).values()) {
      assert.strictEqual(new Set(same.map(({ id }) => id)).size, 1, "a repeated message has another id")
    }
    yield* next.stop
    assert.deepStrictEqual(again.events.at(-1), { event: "end", data: { code: 5030 } })
    const report = yield* Effect.orDie(Effect.provide(replay(), [layerOf(database), Signatures.layerInline]))
    assert.deepStrictEqual(report.problems, [])
  })
)

it.live("a listener hears what another server stored, and of two servers one delivers it to a webhook", () =>
  Effect.gen(function* () {
    const webhooks = { recordEvery: "100 millis", lease: "30 seconds" } as const
    const first = yield* startServer({ webhooks })
    const { database } = first
    const receiver = yield* startReceiver
    yield* Effect.orDie(Effect.provide(addWebhook({ url: receiver.url }), layerOf(database)))
    const second = yield* startServer({ database, webhooks })
    const library = libraryOn(first)
    const token = yield* library.token({ userId: "backend", changes: true })
    const stream = yield* openChanges(second, { token, query: "?after=0" })
    yield* makeWriter()(library, 20)
    yield* until("the listener has all", () => stream.changes().length === 20)
    yield* receiver.untilTaken(20)
    assert.strictEqual(new Set(receiver.received.map(({ id }) => id)).size, receiver.received.length)
  })
)
