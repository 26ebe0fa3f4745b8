/** Webhooks: a receiver gets every change at least once, in order for a library, with a signature that it can check. */
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Layer, PubSub, Stream } from "effect"
import { connectRaw } from "#test-support/clients/RawSecsync"
import { connectVerdant, registerReplica } from "#test-support/clients/RawVerdant"
import { scrape } from "#test-support/servers/scrape"
import { startMemoryServer, type TestServer } from "#test-support/servers/TestServer"
import { isSigned, type Received, startReceiver, type WebhookReceiver } from "#test-support/servers/WebhookReceiver"
import { until } from "#test-support/until"
import { libraryOn } from "#test-support/verdant/Library"
import { initialize, makeReplica } from "#test-support/verdant/Replica"
import * as MemoryEventLog from "../../src/adapters/MemoryEventLog.ts"
import { eachEvent } from "../../src/admin/Events.ts"
import { replay } from "../../src/admin/Replay.ts"
import {
  addWebhook,
  listWebhooks,
  type NewWebhook,
  removeWebhook,
  replayWebhook,
  showWebhook,
  testWebhook
} from "../../src/admin/Webhooks.ts"
import type { LibraryId } from "../../src/domain/Ids.ts"
import type { StreamKey } from "../../src/domain/Stream.ts"
import { EventLog } from "../../src/ports/EventLog.ts"
import { Signals } from "../../src/ports/Signals.ts"
import { Signatures } from "../../src/signatures/Signatures.ts"
import { makeAuthor, snapshotMessage } from "../../src/testing/SealedMessages.ts"
import type { WebhookOptions } from "../../src/webhooks/WebhookOptions.ts"

/** Short waits between attempts, so that a test sees all of them. The time for an answer allows for a slow machine. */
const quick: Partial<WebhookOptions> = {
  timeout: "10 seconds",
  attempts: 3,
  firstRetry: "10 millis",
  maxRetry: "50 millis",
  lease: "30 seconds",
  recordEvery: "50 millis"
}

/** Signals between the servers and commands of one test. */
const makeSignals = Effect.map(PubSub.unbounded<ReadonlyArray<StreamKey>>(), (hub) =>
  Signals.of({
    announce: (keys) => Effect.asVoid(PubSub.publish(hub, keys)),
    wakeups: Stream.fromPubSub(hub),
    broadcast: () => Effect.void,
    broadcasts: Stream.never
  })
)

/** A log in memory, commands on it, and servers. */
const makeWorld = Effect.gen(function* () {
  const log = Layer.succeedContext(yield* Layer.build(MemoryEventLog.layerMemory))
  const signals = Layer.succeed(Signals, yield* makeSignals)
  const command = <A, E>(effect: Effect.Effect<A, E, EventLog | Signals | Signatures>) =>
    Effect.orDie(Effect.provide(effect, Layer.mergeAll(log, signals, Signatures.layerInline)))
  const receiver = yield* startReceiver
  return {
    ...{ command, receiver },
    add: (webhook: Partial<NewWebhook> = {}) => command(addWebhook({ url: receiver.url, ...webhook })),
    serve: (options: Partial<WebhookOptions> = {}) =>
      startMemoryServer({ webhooks: { ...quick, ...options }, metrics: { port: 0 } }, log, signals)
  }
})

/** A Verdant client that writes numbered items. */
const startWriter = Effect.fnUntraced(function* (server: TestServer, id?: string) {
  const library = libraryOn(server, id)
  const replica = makeReplica()
  const client = yield* connectVerdant(library, yield* library.token({ userId: "ada" }))
  yield* registerReplica(client, replica)
  let written = 0
  const write = (count: number) =>
    Effect.sync(() => {
      for (let i = 0; i < count; i++) {
        written += 1
        client.send(replica.op(replica.operation(`item/${written}`, initialize({ number: written }))))
      }
    })
  return { library, write }
})

const itemsOf = (received: ReadonlyArray<WebhookReceiver["received"][number]>, library?: LibraryId) =>
  received
    .filter(({ data }) => library === undefined || data.libraryId === library)
    .map(({ data }) => Number(data.documents[0].id))

const upTo = (count: number, from = 1) => Array.from({ length: count - from + 1 }, (_, i) => i + from)

describe("a receiver", () => {
  it.live("gets the changes of both protocols in order and once, signed, one at a time for a library", () =>
    Effect.gen(function* () {
      const { add, receiver, serve, command } = yield* makeWorld
      const { id, secret } = yield* add()
      const server = yield* serve()
      const [one, two] = [yield* startWriter(server), yield* startWriter(server)]
      yield* one.write(40)
      yield* two.write(40)
      yield* receiver.untilTaken(80)
      for (const { library } of [one, two]) assert.deepStrictEqual(itemsOf(receiver.taken(), library.id), upTo(40))
      assert.strictEqual(receiver.mostOfLibrary(), 1)

      const docId = "notes"
      const snapshot = snapshotMessage(makeAuthor(), { docId })
      const token = yield* one.library.token({ userId: "ada" })
      const client = yield* connectRaw({ url: server.url, documentId: docId, token })
      client.send(snapshot)
      yield* receiver.untilTaken(81)
      const last = receiver.taken().at(-1)!
      assert.strictEqual(last.type, "secsync.snapshot_stored")
      assert.strictEqual(last.data.documentId, docId)
      assert.notInclude(last.body, snapshot.ciphertext)

      assert.isTrue(receiver.received.every((message) => isSigned(secret, message)))
      assert.strictEqual(new Set(receiver.received.map((message) => message.id)).size, 81)
      assert.strictEqual(last.headers["content-type"], "application/json")
      yield* until(
        "all is recorded",
        Effect.map(command(showWebhook(id)), ({ streamsBehind }) => streamsBehind === 0)
      )
      const { createdAt, deliveredAt } = yield* command(showWebhook(id))
      assert.isAtLeast(deliveredAt ?? 0, createdAt)
      const report = yield* command(replay())
      assert.deepStrictEqual(report.problems, [])
    })
  )

  it.live("that was down gets the same messages when it is up, in order, and each library waits for itself", () =>
    Effect.gen(function* () {
      const { add, receiver, serve } = yield* makeWorld
      yield* add()
      const server = yield* serve({ attempts: 1000 })
      const writer = yield* startWriter(server)
      yield* writer.write(3)
      yield* receiver.untilTaken(3)
      yield* receiver.stop
      yield* writer.write(3)
      yield* receiver.start
      yield* receiver.untilTaken(6)
      receiver.answer(({ data }) => (data.libraryId === writer.library.id ? 500 : 200))
      yield* writer.write(2)
      yield* until("it is tried often", () => receiver.received.filter(({ status }) => status === 500).length > 3)
      const other = yield* startWriter(server)
      yield* other.write(2)
      yield* receiver.untilTaken(8)
      assert.deepStrictEqual(itemsOf(receiver.taken(), other.library.id), [1, 2])
      receiver.answer(() => 200)
      yield* receiver.untilTaken(10)
      assert.deepStrictEqual(itemsOf(receiver.taken(), writer.library.id), upTo(8))
      const ids = receiver.received.filter(({ data }) => data.documents[0].id === "7").map(({ id }) => id)
      assert.isAbove(ids.length, 1)
      assert.strictEqual(new Set(ids).size, 1, "a repeated message has another id")
    })
  )

  it.live("that does not take a change after all attempts gets no later one of the library, until a replay", () =>
    Effect.gen(function* () {
      const { add, command, receiver, serve } = yield* makeWorld
      const { id } = yield* add()
      const server = yield* serve()
      const [poisoned, other] = [yield* startWriter(server), yield* startWriter(server)]
      const isPoison = ({ data }: Pick<Received, "data">) =>
        data.libraryId === poisoned.library.id && data.documents[0].id === "2"
      receiver.answer((message) => (isPoison(message) ? 422 : 200))
      yield* poisoned.write(4)
      yield* until(
        "the library stops",
        Effect.map(command(showWebhook(id)), ({ stopped }) => stopped === 1)
      )
      yield* other.write(3)
      yield* receiver.untilTaken(4)
      const { deadLetters } = yield* command(showWebhook(id))
      assert.strictEqual(deadLetters[0]?.libraryId, poisoned.library.id)
      assert.strictEqual(deadLetters[0]?.streamId, "@verdant")
      assert.strictEqual(deadLetters[0]?.attempts, 3)
      assert.strictEqual(deadLetters[0]?.problem, "status 422")
      assert.strictEqual(deadLetters[0]!.toVersion - deadLetters[0]!.fromVersion, 2)
      assert.strictEqual(receiver.received.filter(isPoison).length, 3)
      assert.deepStrictEqual(itemsOf(receiver.taken(), poisoned.library.id), [1])

      const metrics = yield* scrape(server)
      assert.strictEqual(metrics.value("sealog_webhook_libraries_stopped"), 1)
      assert.strictEqual(metrics.value("sealog_webhooks"), 1)
      assert.strictEqual(metrics.value("sealog_webhook_lag_seconds"), 0)
      assert.isAtLeast(metrics.value("sealog_webhook_deliveries_total", { outcome: "failed" }) ?? 0, 3)

      // The receiver is not mended: the library stops again.
      assert.deepStrictEqual(yield* command(replayWebhook(id)), [poisoned.library.id])
      yield* other.write(1)
      yield* until("it is tried again", () => receiver.received.filter(isPoison).length === 6)
      yield* until(
        "the library stops",
        Effect.map(command(showWebhook(id)), ({ stopped }) => stopped === 1)
      )
      const waiting = deadLetters[0]!.fromVersion
      const skip = (version: number) =>
        command(replayWebhook(id, { libraryId: poisoned.library.id, skip: true, version }))
      assert.deepStrictEqual(yield* skip(waiting + 1), [])
      assert.deepStrictEqual(yield* skip(waiting), [poisoned.library.id])
      yield* other.write(1)
      yield* until("the others arrive", () => itemsOf(receiver.taken(), poisoned.library.id).length === 3)
      assert.deepStrictEqual(itemsOf(receiver.taken(), poisoned.library.id), [1, 3, 4])
      assert.deepStrictEqual(yield* command(replayWebhook(id)), [])
      assert.deepStrictEqual((yield* command(replay())).problems, [])
    })
  )

  it.live("gets only the types and libraries that were asked for, from the start or from now on", () =>
    Effect.gen(function* () {
      const { add, receiver, serve } = yield* makeWorld
      const before = yield* Effect.scoped(
        Effect.gen(function* () {
          const server = yield* serve()
          const writer = yield* startWriter(server)
          yield* writer.write(2)
          yield* until(
            "they are stored",
            Effect.map(Effect.orDie(server.libraries.info(writer.library.id)), (info) => (info?.operations ?? 0) >= 2)
          )
          return writer.library.id
        })
      )
      yield* add({ url: `${receiver.url}?start`, from: "start", libraries: [before] })
      yield* add({ url: `${receiver.url}?now` })
      yield* add({ url: `${receiver.url}?secsync`, types: ["secsync.snapshot_stored"] })
      const server = yield* serve()
      const [old, fresh] = [yield* startWriter(server, before), yield* startWriter(server)]
      yield* old.write(1)
      yield* fresh.write(1)
      yield* receiver.untilTaken(5)
      const token = yield* fresh.library.token({ userId: "ada" })
      const client = yield* connectRaw({ url: server.url, documentId: "d", token })
      client.send(snapshotMessage(makeAuthor(), { docId: "d" }))
      yield* receiver.untilTaken(7)
      const types = Object.groupBy(receiver.taken(), ({ type }) => type)
      assert.strictEqual(types["secsync.snapshot_stored"]?.length, 2)
      assert.strictEqual(types["verdant.changed"]?.length, 5)
    })
  )

  it.live.each([
    [
      "redirects",
      (response) => void response.writeHead(302, { location: "/elsewhere" }).end(),
      "status 302, a redirect"
    ],
    ["never answers", () => {}, "no answer within 300ms"],
    ["cuts the connection", (response) => void response.destroy(), undefined],
    ["is gone", (response) => void response.writeHead(410).end(), "status 410"]
  ] as const satisfies ReadonlyArray<
    readonly [string, (response: import("node:http").ServerResponse) => void, string | undefined]
  >)("that %s has not taken the change", ([name, answer, problem]) =>
    Effect.gen(function* () {
      const { add, command, receiver, serve } = yield* makeWorld
      const { id } = yield* add()
      receiver.answer(() => answer)
      const writer = yield* startWriter(yield* serve(name === "never answers" ? { timeout: "300 millis" } : {}))
      yield* writer.write(1)
      yield* until(
        "the library stops",
        Effect.map(command(showWebhook(id)), ({ stopped }) => stopped === 1)
      )
      const [letter] = (yield* command(showWebhook(id))).deadLetters
      if (problem !== undefined) assert.strictEqual(letter?.problem, problem)
      assert.strictEqual(receiver.received.length, name === "is gone" ? 1 : 3)
    })
  )

  it.live("that answers without an end is not read to the end, and has taken the change", () =>
    Effect.gen(function* () {
      const { add, command, receiver, serve } = yield* makeWorld
      const { id } = yield* add()
      receiver.answer(() => (response) => {
        const more = () => {
          while (!response.destroyed && response.write("x".repeat(16_384)));
        }
        response.writeHead(200).on("drain", more)
        more()
      })
      const writer = yield* startWriter(yield* serve())
      yield* writer.write(1)
      yield* until(
        "it is recorded",
        Effect.map(command(showWebhook(id)), ({ streamsBehind }) => streamsBehind === 0)
      )
    })
  )
})

describe("several servers", () => {
  it.live("on one log deliver each change once, and the second goes on when the first has closed", () =>
    Effect.gen(function* () {
      const { add, receiver, serve } = yield* makeWorld
      yield* add()
      const second = yield* serve()
      const writer = yield* startWriter(second)
      yield* Effect.scoped(
        Effect.gen(function* () {
          const other = yield* startWriter(yield* serve())
          yield* other.write(20)
          yield* writer.write(20)
          yield* receiver.untilTaken(40)
        })
      )
      yield* writer.write(20)
      yield* receiver.untilTaken(60)
      assert.strictEqual(new Set(receiver.received.map(({ id }) => id)).size, receiver.received.length)
      assert.strictEqual(receiver.mostOfLibrary(), 1)
    })
  )

  it.live("that do not deliver leave a webhook alone", () =>
    Effect.gen(function* () {
      const { add, command, receiver, serve } = yield* makeWorld
      const { id } = yield* add()
      const writer = yield* startWriter(yield* serve({ deliver: false }))
      yield* writer.write(2)
      yield* until(
        "they are stored",
        Effect.map(command(showWebhook(id)), ({ streamsBehind }) => streamsBehind === 1)
      )
      assert.deepStrictEqual(receiver.received, [])
    })
  )
})

describe("an operator", () => {
  it.live("sees a secret once, and the log shows it nowhere", () =>
    Effect.gen(function* () {
      const { add, command } = yield* makeWorld
      const { id, secret } = yield* add()
      const shown: Array<unknown> = [yield* command(listWebhooks()), yield* command(showWebhook(id))]
      yield* command(
        eachEvent({ libraryId: "@server" as LibraryId }, { from: { last: 100 }, follow: false }, (page) =>
          Effect.sync(() => void shown.push(...page))
        )
      )
      assert.strictEqual(shown.length, 3)
      assert.notInclude(JSON.stringify(shown), secret.slice(6, 20))
    })
  )

  it.live("removes a webhook with its secret, and no later change is delivered", () =>
    Effect.gen(function* () {
      const { add, command, receiver, serve } = yield* makeWorld
      const { id } = yield* add()
      const server = yield* serve()
      const writer = yield* startWriter(server)
      yield* writer.write(1)
      yield* receiver.untilTaken(1)
      yield* command(removeWebhook(id, { operator: "grace" }))
      yield* writer.write(2)
      const again = yield* startWriter(server)
      yield* again.write(1)
      yield* until(
        "it is gone",
        Effect.map(command(listWebhooks()), (all) => all.length === 0)
      )
      const held = yield* Effect.orDie(
        server.log.tail({ libraryId: "@server" as LibraryId, streamId: `@webhook-${id}` })
      )
      assert.isTrue(held.events.every(({ payload }) => payload === null))
      assert.strictEqual(
        (yield* Effect.flip(Effect.provide(showWebhook(id), Layer.succeed(EventLog, server.log))))._tag,
        "NoSuchWebhook"
      )
      assert.deepStrictEqual((yield* command(replay())).problems, [])
    })
  )

  it.live("tries a receiver without a change", () =>
    Effect.gen(function* () {
      const { add, command, receiver } = yield* makeWorld
      const { id, secret } = yield* add()
      assert.deepStrictEqual(yield* command(testWebhook(id, Duration.seconds(5))), { _tag: "Delivered", status: 200 })
      assert.strictEqual(receiver.received[0]?.type, "webhook.test")
      assert.isTrue(isSigned(secret, receiver.received[0]!))
      receiver.answer(() => 500)
      assert.strictEqual((yield* command(testWebhook(id, Duration.seconds(5))))._tag, "Failed")
    })
  )
})
