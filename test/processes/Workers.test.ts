/** `serve --workers`: several processes on one port act as one server. */
import { readdirSync, readFileSync, readlinkSync } from "node:fs"
import { connect } from "node:net"
import { isDeepStrictEqual } from "node:util"
import { assert, describe, it } from "@effect/vitest"
import type { Health } from "@sealog/server"
import { Array, Effect, Schedule } from "effect"
import { vi } from "vitest"
import { freePort } from "../support/network/freePort.ts"
import { connectPair, type SecsyncClient, untilAll } from "../support/secsync/SecsyncClient.ts"
import { mintToken, runCommand, type ServerProcess, spawnServer } from "../support/servers/ServerProcess.ts"
import { scrape } from "../support/servers/scrape.ts"
import { randomName } from "../support/servers/TestServer.ts"
import { freshStorage } from "../support/storage/databases.ts"
import { until } from "../support/until.ts"

vi.setConfig({ testTimeout: 300_000 })

const DOCUMENTS = 12

/** The workers of a server, by their process ids. */
const workersOf = ({ pid }: ServerProcess): ReadonlyArray<number> =>
  readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim().split(" ").map(Number).toSorted()

/** The connections of each process to a port, as the kernel counts them. */
const connectionsOf = (pids: ReadonlyArray<number>, port: number): ReadonlyArray<number> => {
  const inodes = ["/proc/net/tcp", "/proc/net/tcp6"]
    .flatMap((file) => readFileSync(file, "utf8").trim().split("\n").slice(1))
    .map((row) => row.trim().split(/\s+/))
    .filter(([, local = "", , state]) => state === "01" && Number.parseInt(local.split(":").at(-1)!, 16) === port)
    .map(([, , , , , , , , , inode]) => `socket:[${inode}]`)
  return pids.map((pid) => {
    const files = readdirSync(`/proc/${pid}/fd`).flatMap((fd) => {
      try {
        return [readlinkSync(`/proc/${pid}/fd/${fd}`)]
      } catch {
        return []
      }
    })
    return files.filter((file) => inodes.includes(file)).length
  })
}

const start = Effect.gen(function* () {
  const database = yield* freshStorage
  const metricsPort = yield* Effect.promise(freePort)
  const args = ["--workers", "2", "--admin", "--metrics-port", String(metricsPort)]
  const server = yield* spawnServer(database, { args })
  return { database, metricsPort, server }
})

/** Two clients of each of many documents, which have written once each. */
const connectAll = Effect.fnUntraced(function* ({ url }: ServerProcess) {
  const token = yield* mintToken(randomName())
  const documents = yield* Effect.forEach(
    Array.range(1, DOCUMENTS),
    (number) => connectPair({ url, token }, `document ${number}`),
    { concurrency: 4 }
  )
  return documents
})

const writeToAll = (documents: ReadonlyArray<ReadonlyArray<SecsyncClient>>, text: string, length: number) =>
  Effect.gen(function* () {
    for (const [first] of documents) first?.write(text)
    yield* Effect.forEach(documents, (clients) =>
      untilAll(clients, "both have all", (client) => client.isSettledOnActive() && client.list().length === length)
    )
  })

const OK: Health = { status: "ok" }

const healthOf = ({ port }: ServerProcess) =>
  Effect.promise(async () => (await fetch(`http://127.0.0.1:${port}/healthz`)).json() as Promise<Health>)

/** Sends a byte of a head now and then, and never its end. Returns whether the server has cut that. */
const trickle = Effect.fnUntraced(function* (port: number, text: string) {
  const socket = yield* Effect.acquireRelease(
    Effect.sync(() => connect(port, "127.0.0.1")),
    (socket) => Effect.sync(() => socket.destroy())
  )
  let received = ""
  socket.on("error", () => {})
  socket.on("data", (chunk) => {
    received += chunk
  })
  socket.write(text)
  const byte = Effect.sync(() => void (socket.writable && socket.write("x")))
  yield* Effect.forkScoped(Effect.repeat(byte, Schedule.spaced("1 second")))
  return () => received.includes(" 408 ")
})

/** The HTTP API of operators, which `connections`, `disconnect` and `top` use. */
const adminOf = Effect.fnUntraced(function* ({ port }: ServerProcess, database: string) {
  const { stdout } = yield* runCommand(database, "token", "mint", "--admin", "--user", "grace")
  const headers = { authorization: `Bearer ${JSON.parse(stdout).token}`, "content-type": "application/json" }
  return (path: string, payload?: object) =>
    Effect.promise(async () => {
      const request = payload === undefined ? {} : { method: "POST", body: JSON.stringify(payload) }
      const answer = await fetch(`http://127.0.0.1:${port}/admin/api${path}`, { headers, ...request })
      const text = await answer.text()
      assert.strictEqual(answer.status, 200, text)
      return text
    })
})

describe("serve --workers", () => {
  it.live("serves each document in one worker, loses nothing with one of them, and answers as one server", () =>
    Effect.gen(function* () {
      const { database, metricsPort, server } = yield* start
      const slow = [
        yield* trickle(server.port, "GET / HTTP/1.1\r\nHost: local"),
        yield* trickle(server.port, "GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\nGET / HTTP/1.1\r\nHost: local")
      ]
      const documents = yield* connectAll(server)
      const clients = documents.flat()
      const before = workersOf(server)
      assert.strictEqual(before.length, 2)
      const { value } = yield* scrape({ metricsPort })
      assert.strictEqual(value("sealog_connections", { protocol: "secsync" }), clients.length)
      // One snapshot of each document at least.
      const stored = value("sealog_events_stored_total")!
      assert.isAtLeast(stored, DOCUMENTS)
      for (const worker of ["1", "2", "parent"]) assert.isAbove(value("process_cpu_seconds_total", { worker })!, 0)
      assert.deepStrictEqual(yield* healthOf(server), OK)

      const admin = yield* adminOf(server, database)
      assert.strictEqual(JSON.parse(yield* admin("/connections")).length, clients.length)
      assert.include(yield* admin("/metrics"), `sealog_connections{protocol="secsync"} ${clients.length}`)
      const cut = () => slow.map((isCut) => isCut())
      yield* until("slow heads are cut", () => cut().every(Boolean), cut)
      // HTTP connections stay open for some seconds, so the clients' are left.
      const share = () => connectionsOf(before, server.port)
      yield* until("the clients' are left", () => share()[0]! + share()[1]! === clients.length, share)
      assert.isTrue(
        share().every((count) => count > 0 && count % 2 === 0),
        `both clients of a document: ${share()}`
      )

      process.kill(before[0]!, "SIGKILL")
      yield* writeToAll(documents, "after one was killed", 2)
      yield* until(
        "the worker is back",
        Effect.map(healthOf(server), (health) => workersOf(server).length === 2 && isDeepStrictEqual(health, OK))
      )
      assert.notDeepEqual(workersOf(server), before)
      assert.isAtLeast((yield* scrape({ metricsPort })).value("sealog_events_stored_total")!, stored)

      const connections = clients.map((client) => client.connections())
      assert.deepStrictEqual(JSON.parse(yield* admin("/connections/disconnect", { all: true })), {
        disconnected: clients.length
      })
      yield* until("all are back", () => clients.every((client, i) => client.connections() > connections[i]!))
      yield* writeToAll(documents, "after an operator closed all", 3)

      // As a service manager may signal a whole group. Two signals to one process would change its level back.
      for (const pid of [server.pid, ...workersOf(server)]) process.kill(pid, "SIGUSR2")
      const isDebug = () => server.output().split("the log level is debug").length - 1
      yield* until("all have the level", () => isDebug() === 3, isDebug)
      const pids = workersOf(server)
      for (const pid of pids) process.kill(pid, "SIGTERM")
      yield* server.stop
      assert.strictEqual(server.exitCode(), 0, server.output())
      for (const pid of pids) assert.throws(() => process.kill(pid, 0), "ESRCH")
      const { exitCode, stdout } = yield* runCommand(database, "replay")
      assert.strictEqual(exitCode, 0, stdout)
    })
  )

  it.live("the workers end when their parent is killed", () =>
    Effect.gen(function* () {
      const { server } = yield* start
      const pids = workersOf(server)
      yield* server.kill
      const isGone = (pid: number) => {
        try {
          return !process.kill(pid, 0)
        } catch {
          return true
        }
      }
      yield* until("they are gone", () => pids.every(isGone))
    })
  )
})
