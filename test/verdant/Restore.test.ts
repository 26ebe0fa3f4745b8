/** A log that was restored from an older backup: real devices bring back what they hold, and newcomers see it. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Scope } from "effect"
import { runCommand } from "../support/servers/ServerProcess.ts"
import { startServer } from "../support/servers/TestServer.ts"
import { keepRows } from "../support/storage/backups.ts"
import { freshStorage } from "../support/storage/databases.ts"
import { until } from "../support/until.ts"
import { libraryOn } from "../support/verdant/Library.ts"
import type { Message } from "../support/verdant/Network.ts"
import { makePerson } from "../support/verdant/Person.ts"
import { holdsOnDevice } from "../support/verdant/reindex.ts"
import { contents, openClient, openClients, untilSame } from "../support/verdant/VerdantClient.ts"

const assertInOrder = Effect.fnUntraced(function* (database: string) {
  const { exitCode, stdout, stderr } = yield* runCommand(database, "replay")
  assert.strictEqual(exitCode, 0, stdout + stderr)
})

describe.each(["realtime", "pull"] as const)("a log that was restored (%s)", (transport) => {
  it.live("under a running server: every device brings back what it holds, also what it made after the backup", () =>
    Effect.gen(function* () {
      const server = yield* startServer({ verdant: { cursorInterval: "100 millis", foldAfter: 3 } })
      const library = libraryOn(server)
      const [a, b] = yield* openClients(["a", "b"], { library, transport })
      const id = yield* a.put({ content: "in the backup" })
      yield* b.until("it has it", (items) => items.length === 1)
      yield* untilSame([a, b])
      const putBack = yield* keepRows(server.database)
      yield* a.put({ content: "from a" })
      yield* b.put({ content: "from b" })
      yield* a.edit(id, (item) => item.get("tags").push("tagged by a"))
      for (const client of [a, b]) yield* client.until("it has all", (items) => items.length === 3)
      yield* untilSame([a, b])
      yield* until("all is acknowledged", () => [a, b].every((client) => client.isSettled()))
      yield* putBack

      for (const client of [a, b]) yield* until(`${client.user} was asked for all`, () => client.restores() > 0)
      const newcomer = yield* openClient({ library, user: "newcomer", transport })
      yield* newcomer.until("it has all", (items) => items.length === 3)
      const items = yield* untilSame([a, b, newcomer])
      assert.deepStrictEqual(contents(items), ["from a", "from b", "in the backup"])
      assert.deepStrictEqual(items.find((item) => item.id === id)?.tags, ["tagged by a"])
      yield* newcomer.put({ content: "later" })
      yield* a.until("they go on", (items) => items.length === 4)
      yield* untilSame([a, b, newcomer])
      yield* assertInOrder(server.database)
    })
  )
})

describe("a device that joined after the backup", () => {
  it.live("is sent every document by its reset, and shows all of them once its app has rebuilt the store's index", () =>
    Effect.gen(function* () {
      const server = yield* startServer({ verdant: { cursorInterval: "100 millis", foldAfter: 3 } })
      const library = libraryOn(server)
      const [a, b] = yield* openClients(["a", "b"], { library })
      yield* a.put({ content: "in the backup" })
      yield* b.until("it has it", (items) => items.length === 1)
      yield* untilSame([a, b])
      const putBack = yield* keepRows(server.database)
      const late = yield* makePerson({ library, user: "late" })
      for (const number of [1, 2, 3]) {
        for (const client of [a, b, late.client()]) yield* client.put({ content: `${client.user} ${number}` })
      }
      for (const client of [a, b, late.client()]) yield* client.until("it has all", (items) => items.length === 10)
      yield* until("all is acknowledged", () => [a, b, late.client()].every((client) => client.isSettled()))
      const before = late.resets()
      yield* putBack
      yield* until("it was reset", () => late.resets() > before)
      const { network } = late.client()
      const isReset = ({ overwriteLocalData, type }: Message) => type === "sync-resp" && overwriteLocalData === true
      const reset = network.received.findLast(isReset)
      const oids = [...objectsIn(reset, "baselines"), ...objectsIn(reset, "operations")]
      assert.strictEqual(new Set(oids.map((oid) => oid.split(":")[0])).size, 10)
      // The store (5.5) may leave documents of a reset out of its index.
      yield* until("it has stored the reset", holdsOnDevice(late.client(), oids))
      yield* late.reopen
      yield* late.client().until("it has all", (items) => items.length === 10)
      const newcomer = yield* openClient({ library, user: "newcomer" })
      yield* newcomer.until("it has all", (items) => items.length === 10)
      yield* untilSame([a, b, late.client(), newcomer])
    })
  )
})

const objectsIn = (message: Message | undefined, field: "baselines" | "operations"): ReadonlyArray<string> =>
  ((message?.[field] ?? []) as ReadonlyArray<{ readonly oid: string }>).map(({ oid }) => oid)

describe("a log that was restored while the server was stopped", () => {
  it.live("`sync-admin restored` makes devices bring back what they hold, with what they wrote offline", () =>
    Effect.gen(function* () {
      const database = yield* freshStorage
      const scope = yield* Scope.make()
      const server = yield* Scope.provide(startServer({ database }), scope)
      const library = libraryOn(server)
      const [a, b] = yield* openClients(["a", "b"], { library })
      yield* a.put({ content: "in the backup" })
      yield* b.until("it has it", (items) => items.length === 1)
      const putBack = yield* keepRows(database)
      yield* a.put({ content: "from a" })
      yield* b.until("it has both", (items) => items.length === 2)
      yield* untilSame([a, b])
      yield* Scope.close(scope, Exit.void)
      yield* b.put({ content: "from b, offline" })
      yield* putBack
      const marked = yield* runCommand(database, "restored")
      assert.strictEqual(marked.exitCode, 0, marked.stdout + marked.stderr)
      yield* startServer({ database, port: server.port })
      for (const client of [a, b]) yield* client.until("it has all", (items) => items.length === 3)
      const newcomer = yield* openClient({ library, user: "newcomer" })
      yield* newcomer.until("it has all", (items) => items.length === 3)
      assert.deepStrictEqual(contents(yield* untilSame([a, b, newcomer])), [
        "from a",
        "from b, offline",
        "in the backup"
      ])
      yield* assertInOrder(database)
    })
  )
})
