/** Backups by the built binary while clients write, killed in the middle, and restored into another database. */
import { spawn } from "node:child_process"
import { randomBytes } from "node:crypto"
import { mkdtempSync, readdirSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { blake2b256 } from "@sealog/server/domain/Blake2b"
import { LibraryId } from "@sealog/server/domain/Ids"
import { advance, emptyHead, place } from "@sealog/server/domain/Stream"
import { toNewEvent } from "@sealog/server/domain/secsync/Events"
import { EventLog } from "@sealog/server/ports/EventLog"
import { Effect, type Scope } from "effect"
import { vi } from "vitest"
import { snapshot, update } from "../admin/support.ts"
import { connectClient, untilAll } from "../support/secsync/SecsyncClient.ts"
import { assertStored, begin, makeWriter, type Writer, writeOn } from "../support/secsync/Writers.ts"
import { BUCKET, S3_KEY, startS3 } from "../support/servers/S3Server.ts"
import { mintToken, runCommand, runCommandOf, spawnServer, syncAdmin } from "../support/servers/ServerProcess.ts"
import { randomName } from "../support/servers/TestServer.ts"
import { freshStorage, layerOf, storages } from "../support/storage/databases.ts"
import { until } from "../support/until.ts"

// Each test starts several processes.
vi.setConfig({ testTimeout: 600_000 })

const freshFolder = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "sealog-backup-"))),
  (folder) => Effect.sync(() => rmSync(folder, { recursive: true, force: true }))
)

const succeeds = (command: ReturnType<typeof runCommand>) =>
  Effect.map(command, ({ exitCode, stderr, stdout }) => {
    assert.strictEqual(exitCode, 0, stdout + stderr)
    return JSON.parse(stdout)
  })

const succeed = (database: string, ...args: ReadonlyArray<string>) => succeeds(runCommand(database, ...args))

interface Place {
  /** As `--to` takes it. */
  readonly at: string
  /** The variables that reach it. */
  readonly variables: Readonly<Record<string, string>>
  /** The parts of the backups under such a prefix that are there completely. */
  readonly parts: (prefix: string) => ReadonlyArray<string>
}

const places: ReadonlyArray<{ readonly name: string; readonly open: Effect.Effect<Place, never, Scope.Scope> }> = [
  {
    name: "a folder",
    open: Effect.map(freshFolder, (at) => ({
      at,
      variables: {},
      parts: (prefix) => readdirSync(join(at, prefix))
    }))
  },
  {
    name: "S3",
    open: Effect.map(startS3, ({ directory, endpoint }) => ({
      at: `s3://${BUCKET}/backups`,
      variables: { S3_ENDPOINT: endpoint, S3_ACCESS_KEY_ID: S3_KEY, S3_SECRET_ACCESS_KEY: S3_KEY },
      parts: (prefix) =>
        readdirSync(join(directory, BUCKET, "backups", prefix)).filter((name) => name.endsWith("._S3rver_object"))
    }))
  }
]

describe("backup", () => {
  it.live("under load holds everything that was acknowledged before it began, each time, and goes to any storage", () =>
    Effect.gen(function* () {
      const [database, folder] = [yield* freshStorage, yield* freshFolder]
      const libraryId = LibraryId.make(randomName())
      const token = yield* mintToken(libraryId)
      const [shared, own] = [randomName(), randomName()]
      const writers = [shared, shared, own].map(makeWriter)
      const acknowledged = () => writers.reduce((sum, writer) => sum + writer.acknowledged, 0)
      const server = yield* spawnServer(database)
      for (const documentId of [shared, own]) yield* begin(server.url, documentId, token)
      yield* Effect.forEach(writers, (writer) => writeOn(server.url, writer, token))
      const before: Array<ReadonlyArray<Writer>> = []
      for (const round of [1, 2, 3]) {
        const reached = acknowledged() + 200
        yield* until("the writers went on", () => acknowledged() >= reached)
        before.push(writers.map((writer) => ({ ...writer })))
        const report = yield* succeed(database, "backup", "--to", folder)
        assert.deepInclude(report, { number: round, problemCount: 0 })
        assert.isAtLeast(
          report.events,
          before.at(-1)!.reduce((sum, writer) => sum + writer.acknowledged, 0)
        )
        assert.isBelow(report.written, round === 1 ? report.events + 1 : report.events)
      }
      yield* server.stop
      // The last backup goes to each storage, and the first one to the first.
      for (const { fresh, name } of storages) {
        for (const number of name === "SQLite" ? [1, 3] : [3]) {
          const restored = yield* fresh
          const args = ["--from", folder, "--backup", String(number), "--without-files", "--as", "ada"]
          assert.deepInclude(yield* succeed(restored, "restore", ...args), { epoch: 2, problemCount: 0 })
          assert.deepInclude(yield* succeed(restored, "replay"), { problemCount: 0 })
          yield* assertStored(restored, libraryId, before[number - 1]!, `backup ${number} in ${name}`)
        }
      }
    })
  )

  it.live("clients go on with a restored log, and bring back what it lacks", () =>
    Effect.gen(function* () {
      const [database, folder] = [yield* freshStorage, yield* freshFolder]
      const [documentId, token] = [randomName(), yield* mintToken(randomName())]
      const server = yield* spawnServer(database)
      const clients = [
        yield* connectClient({ url: server.url, documentId, token }),
        yield* connectClient({ url: server.url, documentId, token })
      ]
      clients[0]!.write("in the backup")
      yield* untilAll(clients, "both have it", (client) => client.isSettled() && client.list().length === 1)
      yield* succeed(database, "backup", "--to", folder)
      clients[1]!.write("after the backup")
      yield* untilAll(clients, "both have both", (client) => client.isSettled() && client.list().length === 2)
      yield* server.kill
      const restored = yield* storages[0]!.fresh
      yield* succeed(restored, "restore", "--from", folder, "--without-files")
      yield* spawnServer(restored, { port: server.port })
      yield* untilAll(clients, "both are settled", (client) => client.isSettledOnActive() && client.connections() > 1)
      const newcomer = yield* connectClient({ url: server.url, documentId, token })
      yield* newcomer.until("a newcomer has both", () => newcomer.list().length === 2)
      assert.sameMembers([...newcomer.list()], ["in the backup", "after the backup"])
      assert.deepInclude(yield* succeed(restored, "replay"), { problemCount: 0 })
    })
  )

  it.live.each(places)(
    "to $name that is killed in the middle leaves the last complete one, and the next one completes",
    ({ open }) =>
      Effect.gen(function* () {
        const database = yield* freshStorage
        const { at, parts, variables } = yield* open
        const run = (on: string, ...args: ReadonlyArray<string>) => runCommandOf(syncAdmin, variables)(on, ...args)
        yield* storeRandom(database, 2, 1000)
        const first = yield* succeeds(run(database, "backup", "--to", at))
        const had = parts("log/segments").length
        // Segments of 16 MiB: the kill hits after the first of several.
        yield* storeRandom(database, 900, 64 * 1024)
        const child = spawn(process.execPath, [syncAdmin, "backup", "--to", at, "--database", database], {
          env: { ...process.env, ...variables }
        })
        const ended = new Promise<NodeJS.Signals | null>((resolve) => child.on("exit", (_, signal) => resolve(signal)))
        yield* until("it has written a segment", () => parts("log/segments").length > had)
        child.kill("SIGKILL")
        assert.strictEqual(yield* Effect.promise(() => ended), "SIGKILL")
        assert.lengthOf(parts("log/manifests"), 1)
        const listed = yield* succeeds(run(database, "backup", "list", "--from", at))
        assert.lengthOf(listed.backups, 1)
        const last = yield* storages[0]!.fresh
        const args = ["--from", at, "--without-files"]
        // The events are not signed, which a restore reports and restores as they are.
        assert.strictEqual(JSON.parse((yield* run(last, "restore", ...args)).stdout).events, first.events)
        assert.deepInclude(yield* succeeds(run(database, "backup", "--to", at)), { number: 2, events: 902 + 2 })
        const next = yield* storages[0]!.fresh
        assert.strictEqual(JSON.parse((yield* run(next, "restore", ...args)).stdout).events, 904)
      })
  )
})

/** Stores a document with random payloads, which no compression makes smaller. */
const storeRandom = (database: string, updates: number, size: number) =>
  Effect.gen(function* () {
    const log = yield* EventLog
    const key = { libraryId: LibraryId.make("random"), streamId: randomName() }
    let head = emptyHead
    for (const event of [snapshot("first"), ...Array.from({ length: updates }, (_, clock) => update(clock))]) {
      const payload = randomBytes(size)
      const placed = place(key, head, toNewEvent(event, blake2b256(payload)), "test", 0)
      yield* log.append([{ key, expectedVersion: head.version, events: [{ event: placed, payload }] }])
      head = advance(head, placed)
    }
  }).pipe(Effect.provide(layerOf(database)), Effect.orDie)
