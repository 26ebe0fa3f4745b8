/**
 * Runs an attack on a server with a small heap, beside a writer and a reader that behave well. Then it checks what the server
 * owes everybody else: the process lives, it keeps every acknowledged write, its log verifies, and the writer hardly waits.
 */
import { mkdtempSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { assert } from "@effect/vitest"
import { LibraryId } from "@sealog/server/domain/Ids"
import { makeAuthor, snapshotMessage, updateMessage } from "@sealog/server/testing"
import { Effect, Fiber, type Scope } from "effect"
import { inject } from "vitest"
import { connectRaw, openRaw, type ServerFrame } from "../support/clients/RawSecsync.ts"
import { connectVerdant, registerReplica } from "../support/clients/RawVerdant.ts"
import { mintToken, runCommand, type ServerProcess, spawnServer } from "../support/servers/ServerProcess.ts"
import { randomName } from "../support/servers/TestServer.ts"
import { freshStorage } from "../support/storage/databases.ts"
import { type Library, libraryOn } from "../support/verdant/Library.ts"
import { makeReplica } from "../support/verdant/Replica.ts"

const syncAdmin = join(import.meta.dirname, "../../packages/cli/bin/sync-admin.js")

/** The server's heap in MiB. An attack that makes the server hold more ends the process. */
const HEAP = 256
/** Milliseconds between the updates of the writer. */
const PACE = 50
/** Updates before the attack. They measure how long the writer waits in peace. */
const CALM_UPDATES = 20
/**
 * The longest wait during an attack, in usual waits of the same writer in peace. Two shared cores run the server, the attack,
 * the writer and the reader, so a wait is also one for this process.
 */
const PATIENCE = 400
/** Milliseconds that a usual wait counts at least, for a machine that is very fast. */
const SHORTEST_WAIT = 10

export interface Battle {
  readonly server: ServerProcess
  /** The library that the attacker has tokens for. */
  readonly library: Library
  /** As `--database` takes it. */
  readonly database: string
}

export interface Attack {
  /** Runs for a bounded amount of work. */
  readonly attack: (battle: Battle) => Effect.Effect<void, never, Scope.Scope>
  /** The server's heap in MiB. Default: 256. */
  readonly heap?: number
  /** More arguments of `serve`. */
  readonly args?: ReadonlyArray<string>
  /** The most memory that the process may take, in MiB. Default: the heap alone has a bound. */
  readonly maxMemory?: number
}

/**
 * Fails when the server ended, lost a write, wrote a log that does not verify, or kept the writer waiting. On Postgres, another
 * process has a writer as well. On SQLite there is none, because a file takes one server.
 */
export const withstands = ({ attack, heap = HEAP, args = [], maxMemory }: Attack) =>
  Effect.gen(function* () {
    const database = yield* freshStorage
    const peak = yield* peakMemory
    const start = spawnServer(database, { args, program: [`--max-old-space-size=${heap}`, ...peak.program, syncAdmin] })
    const server = yield* start
    const others = inject("storage") !== "SQLite" ? [yield* spawnServer(database)] : []
    const bystanders = yield* Effect.forEach([server, ...others], beginWatching)
    const library = libraryOn(server, randomName())

    const writing = yield* Effect.forkChild(Effect.forEach(bystanders, ({ writer }) => writer.writeUntilStopped, ALL))
    const startedAt = performance.now()
    yield* Effect.scoped(attack({ server, library, database }))
    const lasted = Math.round(performance.now() - startedAt)
    for (const { server } of bystanders) yield* assertHealthy(server)
    yield* assertOpens(library)
    for (const { writer } of bystanders) writer.stop()
    yield* Fiber.join(writing)
    for (const bystander of bystanders) assertUnharmed(bystander, lasted)

    yield* server.stop
    const memory = yield* peak.ofEnded
    console.log(`The server took at most ${memory} MiB`)
    if (maxMemory !== undefined)
      assert.isAtMost(memory, maxMemory, "the process took no more than the sum of the limits")
    const again = yield* start
    yield* assertOpens(libraryOn(again, library.id))
    for (const { libraryId, writer } of bystanders) yield* assertKept(again, libraryId, writer.acknowledged())
    yield* again.stop
    const { exitCode, stdout, stderr } = yield* runCommand(database, "replay")
    assert.strictEqual(exitCode, 0, stdout + stderr)
  })

const ALL = { concurrency: "unbounded", discard: true } as const

/** A writer in a library of its own, and how long it usually waits, in milliseconds. */
const beginWatching = Effect.fnUntraced(function* (server: ServerProcess) {
  const libraryId = randomName()
  const writer = yield* beginWriting(server, libraryId)
  yield* writer.write(CALM_UPDATES)
  return { server, libraryId, writer, usual: Math.max(SHORTEST_WAIT, median(writer.takeWaits())) }
})

type Bystander = Effect.Success<ReturnType<typeof beginWatching>>

/** `lasted`: the milliseconds of the attack. */
const assertUnharmed = ({ server, usual, writer }: Bystander, lasted: number): void => {
  const waited = Math.max(...writer.takeWaits())
  const figures = `${Math.round(waited)} ms in an attack of ${lasted} ms, and usually ${Math.round(usual)} ms`
  console.log(`The writer at ${server.port} waited at most ${figures}, for ${writer.acknowledged()} updates`)
  assert.isAtMost(waited / usual, PATIENCE, `the writer waited at most ${figures}`)
  assert.strictEqual(writer.received(), writer.acknowledged(), "the reader has every acknowledged update")
}

/** Arguments of Node with which a process records the most memory that it took, and that memory in MiB once it has ended. */
const peakMemory = Effect.gen(function* () {
  const folder = yield* Effect.acquireRelease(
    Effect.sync(() => mkdtempSync(join(tmpdir(), "sealog-memory-"))),
    (folder) => Effect.sync(() => rmSync(folder, { recursive: true }))
  )
  const file = join(folder, "peak")
  const record = `import { writeFileSync } from "node:fs"
process.on("exit", () => writeFileSync(${JSON.stringify(file)}, String(process.resourceUsage().maxRSS)))`
  return {
    program: ["--import", `data:text/javascript,${encodeURIComponent(record)}`],
    ofEnded: Effect.sync(() => Math.round(Number(readFileSync(file, "utf8")) / 1024))
  }
})

const DOCUMENT = "diary"

/** A writer that sends one update at a time and measures each wait, and a reader that counts what reaches it. */
const beginWriting = Effect.fnUntraced(function* ({ url }: ServerProcess, libraryId: string) {
  const options = { url, documentId: DOCUMENT, token: yield* mintToken(libraryId) }
  const author = makeAuthor()
  const client = yield* connectRaw(options)
  const snapshot = snapshotMessage(author, { docId: DOCUMENT })
  client.send(snapshot)
  yield* client.next("snapshot-saved")
  const reader = yield* connectRaw(options)
  let received = 0
  reader.onFrame(({ type }) => {
    if (type === "update") received += 1
  })
  let waits: Array<number> = []
  let [clock, isStopped] = [0, false]
  const writeOne = Effect.gen(function* () {
    const { snapshotId } = snapshot.publicData
    const sentAt = performance.now()
    client.send(updateMessage(author, { docId: DOCUMENT, refSnapshotId: snapshotId, clock }))
    yield* client.next("update-saved", (frame) => frame["clock"] === clock)
    waits.push(performance.now() - sentAt)
    clock += 1
    yield* Effect.sleep(PACE)
  })
  const untilReceived = Effect.suspend(() => reader.next("update", (frame) => clockOf(frame) === clock - 1))
  return {
    write: (count: number) => Effect.andThen(Effect.repeat(writeOne, { times: count - 1 }), untilReceived),
    writeUntilStopped: Effect.andThen(Effect.repeat(writeOne, { while: () => !isStopped }), untilReceived),
    stop: () => {
      isStopped = true
    },
    /** Milliseconds from sending each update to its acknowledgement, since the last call. */
    takeWaits: () => {
      const taken = waits
      waits = []
      return taken
    },
    acknowledged: () => clock,
    received: () => received
  }
})

const median = (numbers: ReadonlyArray<number>): number => numbers.toSorted((a, b) => a - b)[numbers.length >> 1]!

const clockOf = (frame: ServerFrame): number => (frame["publicData"] as { readonly clock: number }).clock

const assertHealthy = Effect.fnUntraced(function* ({ port }: ServerProcess) {
  const status = yield* Effect.promise(async () => (await fetch(`http://127.0.0.1:${port}/healthz`)).status)
  assert.strictEqual(status, 200, "the server is healthy after the attack")
})

/** The attacked library has an answer for a replica that is new, and for a client of a document. */
const assertOpens = (library: Library) =>
  Effect.gen(function* () {
    const token = yield* library.token({ userId: "newcomer" })
    const connection = yield* connectVerdant(library, token)
    yield* registerReplica(connection, makeReplica())
    const url = library.endpoint.replace(/^http/, "ws").replace("/verdant", "")
    const document = yield* openRaw({ url, documentId: "attacked", token })
    yield* document.next()
  }).pipe(Effect.scoped)

/** A client that is new receives every update that was acknowledged. */
const assertKept = Effect.fnUntraced(function* ({ url }: ServerProcess, libraryId: string, acknowledged: number) {
  const token = yield* mintToken(LibraryId.make(libraryId))
  const { first } = yield* connectRaw({ url, documentId: DOCUMENT, token })
  const updates = first["updates"] as ReadonlyArray<unknown>
  assert.strictEqual(updates.length, acknowledged, "every acknowledged update is kept")
})
