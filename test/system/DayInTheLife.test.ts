/** A day of an operator, while real clients write without a pause: nothing that they wrote is missing in the evening. */
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { assert, it } from "@effect/vitest"
import { type Duration, Effect, Exit, Fiber, Scope, type Scope as ScopeType } from "effect"
import { vi } from "vitest"
import { freePort } from "../support/network/freePort.ts"
import { connectClient, untilAll } from "../support/secsync/SecsyncClient.ts"
import { startReplicating } from "../support/servers/Replicating.ts"
import { mintToken, runCommand, runCommandOf, spawnServer } from "../support/servers/ServerProcess.ts"
import { scrape } from "../support/servers/scrape.ts"
import { randomName } from "../support/servers/TestServer.ts"
import { emptyDatabase, freshDatabase } from "../support/storage/databases.ts"
import { until } from "../support/until.ts"
import { libraryOn } from "../support/verdant/Library.ts"
import { openClient, type VerdantClient } from "../support/verdant/VerdantClient.ts"
import { nextBuild } from "./NextBuild.ts"

// It starts some ten servers and twenty commands.
vi.setConfig({ testTimeout: 900_000 })

/** Runs a command that must succeed, and returns what it says. */
const succeed = Effect.fnUntraced(function* (
  running: ReturnType<typeof runCommand>
): Effect.fn.Return<Readonly<Record<string, unknown>>> {
  const { exitCode, stdout, stderr } = yield* running
  assert.strictEqual(exitCode, 0, stdout + stderr)
  return JSON.parse(stdout)
})

const temporaryFolder = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "sealog-day-"))),
  (folder) => Effect.sync(() => rmSync(folder, { recursive: true, force: true }))
)

/** Two addresses at which servers run, one after the other. */
const makeAddresses = Effect.fnUntraced(function* (files: string) {
  const outer = yield* Effect.scope
  const ports = [yield* Effect.promise(freePort), yield* Effect.promise(freePort)]
  const metricsPorts = [yield* Effect.promise(freePort), yield* Effect.promise(freePort)]
  const running: Array<{ readonly scope: ScopeType.Closeable; readonly stop: Effect.Effect<void> }> = []
  const start = Effect.fnUntraced(function* (which: 0 | 1, database: string, program?: string) {
    const scope = yield* Scope.fork(outer)
    const args = ["--metrics-port", String(metricsPorts[which]), "--files", files, "--canary", "1s"]
    const options = { port: ports[which]!, args, ...(program === undefined ? {} : { program: [program] }) }
    const server = yield* Scope.provide(spawnServer(database, options), scope)
    running[which] = { scope, stop: server.stop }
    return server
  })
  const stop = Effect.fnUntraced(function* (which: 0 | 1) {
    const { scope, stop } = running[which]!
    yield* stop
    yield* Scope.close(scope, Exit.void)
  })
  const urls = ports.map((port) => `ws://127.0.0.1:${port}`)
  return { urls, metricsPorts, start, stop }
})

/** Clients of both protocols at both addresses, which write until `end`. */
const startWriting = Effect.fnUntraced(function* (urls: ReadonlyArray<string>) {
  const [documentId, libraryId] = [randomName(), randomName()]
  const token = yield* mintToken(randomName())
  const clients = yield* Effect.forEach(urls, (url) => connectClient({ url, documentId, token }))
  const stores = yield* Effect.forEach(urls, (url, i) =>
    openClient({ library: libraryOn({ url }, libraryId), user: `user ${i}` })
  )
  const written = { items: 0, documents: 0 }
  let isOver = false
  const writeEvery = (pause: Duration.Input, write: Effect.Effect<unknown>) =>
    Effect.forkScoped(
      Effect.gen(function* () {
        while (!isOver) {
          yield* write
          yield* Effect.sleep(pause)
        }
      })
    )
  const writeItem = Effect.sync(() => clients[written.items % 2]!.write(String(written.items++)))
  const putDocument = Effect.suspend(() => stores[written.documents % 2]!.put({ content: String(written.documents++) }))
  const writing = [yield* writeEvery("100 millis", writeItem), yield* writeEvery("2 seconds", putDocument)]
  const end = Effect.suspend(() => {
    isOver = true
    return Fiber.joinAll(writing)
  })
  return { clients, documentId, end, libraryId, stores, token, written }
})

const contentsOf = (store: VerdantClient) => Effect.map(store.documents(), (all) => all.map(({ content }) => content))

it.live(
  "a day with a backup, a kill, a restore, a failover, an upgrade and a checkpoint loses nothing that was written",
  () =>
    Effect.gen(function* () {
      const folder = yield* temporaryFolder
      const [files, backups, checkpoints] = ["files", "backups", "checkpoints"].map((name) => join(folder, name)) as [
        string,
        string,
        string
      ]
      const addresses = yield* makeAddresses(files)
      const { metricsPorts, start, stop, urls } = addresses

      // Morning: two servers, their clients, and a look at the metrics.
      const primary = yield* freshDatabase
      const first = yield* start(0, primary)
      yield* start(1, primary)
      const { clients, documentId, end, libraryId, stores, token, written } = yield* startWriting(urls)
      const [one, two] = [clients[0]!, clients[1]!]
      /** Waits until the day has gone on: clients of both protocols have received what others wrote since. */
      const goOn = Effect.gen(function* () {
        const [items, documents] = [written.items + 10, written.documents + 1]
        for (const client of clients) yield* client.until(`it has ${items} items`, () => client.list().length >= items)
        const isNew = ({ content }: { readonly content: string }) => Number(content) >= documents
        for (const store of stores) yield* store.until(`it has document ${documents}`, (all) => all.some(isNew))
      })
      yield* goOn
      for (const metricsPort of metricsPorts) {
        const { value } = yield* scrape({ metricsPort })
        assert.isAbove(value("sealog_events_stored_total", { type: "UpdateStored" }) ?? 0, 0)
        assert.isAbove(value("sealog_connections", { protocol: "verdant" }) ?? 0, 0)
        assert.isAbove(value("sealog_canary_seconds_count") ?? 0, 0)
      }

      // A backup under load holds what others had received before it began.
      const durable = {
        items: one.list().filter((item) => two.list().includes(item)),
        documents: yield* contentsOf(stores[0]!)
      }
      const received = yield* contentsOf(stores[1]!)
      yield* succeed(runCommand(primary, "backup", "--to", backups, "--files", files))
      yield* goOn

      // Noon: a server is killed, and comes back.
      yield* first.kill
      yield* start(0, primary)
      yield* goOn

      // A drill: the backup becomes a log of its own elsewhere, and a newcomer reads there.
      const elsewhere = yield* emptyDatabase
      yield* succeed(runCommand(elsewhere, "migrate"))
      const restoredFiles = join(folder, "restored-files")
      yield* succeed(runCommand(elsewhere, "restore", "--from", backups, "--files", restoredFiles))
      yield* Effect.scoped(
        Effect.gen(function* () {
          const server = yield* spawnServer(elsewhere, { args: ["--files", restoredFiles, "--no-webhooks"] })
          const newcomer = yield* connectClient({ url: server.url, documentId, token })
          yield* newcomer.until("it has the backup", () => newcomer.list().length >= durable.items.length)
          for (const item of durable.items) assert.include(newcomer.list(), item)
          const store = yield* openClient({ library: libraryOn(server, libraryId), user: "newcomer" })
          const both = durable.documents.filter((content) => received.includes(content))
          yield* store.until("it has the backup", (all) =>
            both.every((content) => all.some((one) => one.content === content))
          )
        })
      )

      // Afternoon: a standby follows, and takes over with the clients connected.
      const standby = yield* emptyDatabase
      yield* succeed(runCommand(standby, "migrate"))
      const replicating = yield* startReplicating(primary, standby)
      yield* until(
        "the standby has copied much",
        Effect.map(replicating.metric("sealog_standby_events_total"), (events) => events >= written.items)
      )
      yield* goOn
      yield* stop(0)
      yield* stop(1)
      const { code, output } = yield* replicating.end("SIGTERM")
      assert.strictEqual(code, 0, output)
      yield* succeed(runCommand(standby, "promote", "--reason", "a day in the life"))
      yield* succeed(runCommand(primary, "demote", "--reason", "a day in the life"))
      yield* start(0, standby)
      yield* start(1, standby)
      yield* goOn

      // Evening: the next version, one server after the other, on the schema of both.
      const next = yield* nextBuild
      yield* succeed(runCommandOf(next)(standby, "migrate"))
      yield* goOn
      for (const which of [0, 1] as const) {
        yield* stop(which)
        yield* start(which, standby, next)
        yield* goOn
      }

      // Night: a signed checkpoint, and all of it is verified.
      const key = join(folder, "checkpoint-key")
      const { verifier } = yield* succeed(runCommand(standby, "checkpoint", "key", key, "--name", "day.example/log"))
      yield* succeed(runCommandOf(next)(standby, "checkpoint", checkpoints, "--key-file", key))
      yield* goOn
      yield* end
      yield* untilAll(clients, `all have ${written.items}`, (client) => {
        return client.isSettledOnActive() && client.list().length === written.items
      })
      // The store (5.5) may leave documents of a reset out of its index, so a newcomer says what there is.
      yield* until("the stores are settled", () => stores.every((store) => store.isSettled()))
      yield* succeed(
        runCommandOf(next)(standby, "replay", "--verify", "--since", checkpoints, "--verifier", String(verifier))
      )
      const newcomer = yield* connectClient({ url: urls[1]!, documentId, token })
      yield* newcomer.until("it has all", () => newcomer.list().length === written.items)
      const items = Array.from({ length: written.items }, (_, i) => String(i))
      assert.sameMembers([...newcomer.list()], items)
      const store = yield* openClient({ library: libraryOn({ url: urls[0]! }, libraryId), user: "newcomer" })
      yield* store.until("it has all", (all) => all.length === written.documents)
      assert.sameMembers(
        [...(yield* contentsOf(store))],
        Array.from({ length: written.documents }, (_, i) => String(i))
      )
      // The client reports 214 for a repeated update, which it sent twice around a lost connection.
      const errors = clients.flatMap((client) => client.errors()).filter((error) => error !== "SECSYNC_ERROR_214")
      assert.deepStrictEqual(errors, [])
      // After the mark of the promotion, a store is asked for all that it has, and is reset to the whole.
      for (const store of stores) assert.isAtMost(store.resets(), 1)
    })
)
