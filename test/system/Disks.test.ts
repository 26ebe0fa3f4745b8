/** Disks that are full or refuse writes, under a real server: it acknowledges nothing that is not stored, and goes on by itself. */
import { execFileSync } from "node:child_process"
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { PgStorage } from "@sealog/storage-pg"
import { Effect, type Scope } from "effect"
import { vi } from "vitest"
import { impatientClient } from "../support/secsync/impatientClient.ts"
import { connectClient } from "../support/secsync/SecsyncClient.ts"
import { assertStored } from "../support/secsync/Writers.ts"
import { mintToken, runCommand, type ServerProcess, spawnServer } from "../support/servers/ServerProcess.ts"
import { randomName } from "../support/servers/TestServer.ts"
import { administer } from "../support/storage/databases.ts"
import { type Ext4Disk, ext4Disk, fill, mountExt4, mountInMemory } from "../support/storage/disks.ts"
import { makeCluster, type PostgresCluster } from "../support/storage/PostgresCluster.ts"
import { until } from "../support/until.ts"

// A test makes a disk and a Postgres of its own.
vi.setConfig({ testTimeout: 600_000 })

const statusOf = ({ port }: ServerProcess, path: string) =>
  Effect.promise(() =>
    fetch(`http://127.0.0.1:${port}${path}`).then(
      ({ status }) => status,
      () => 0
    )
  )

const untilReady = (server: ServerProcess, expected: 200 | 503) =>
  until(
    `/readyz is ${expected}`,
    Effect.map(statusOf(server, "/readyz"), (status) => status === expected),
    server.output
  )

interface Refusal {
  readonly database: string
  readonly server: ServerProcess
  /** From then on, the disk takes no writes. */
  readonly refuse: Effect.Effect<unknown>
  /** From then on, it does. */
  readonly allow: Effect.Effect<unknown, never, Scope.Scope>
  /** Whether it takes a few more. Default: false. */
  readonly storesSome?: boolean
}

/** Clients that write on while the disk of a server's database refuses writes, and after that. */
const writeThrough = Effect.fnUntraced(function* ({ allow, database, refuse, server, storesSome = false }: Refusal) {
  const { libraryId, writer } = yield* impatientClient(server.url)
  const options = { url: server.url, documentId: randomName(), token: yield* mintToken(randomName()) }
  const client = yield* connectClient(options)
  client.write("before")
  yield* client.until("it is stored", client.isSettledOnActive)
  yield* until("some updates are acknowledged", () => writer.acknowledged > 20)

  yield* refuse
  yield* untilReady(server, 503)
  assert.strictEqual(yield* statusOf(server, "/livez"), 200)
  const before = writer.acknowledged
  if (!storesSome) client.write("while it refuses")
  // Each failed commit has a line in the log, and so has a read if Postgres is gone.
  const failures = () => server.output().split("The storage failed to").length
  const failed = failures()
  yield* until("more calls have failed", () => failures() > failed + 5, server.output)
  if (storesSome) client.write("while it refuses")
  else {
    assert.isFalse(client.isSettled())
    assert.strictEqual(writer.acknowledged, before)
  }

  yield* allow
  yield* untilReady(server, 200)
  yield* until("updates are acknowledged again", () => writer.acknowledged > before + 20, server.output)
  yield* client.until("the client's change is stored", client.isSettledOnActive)
  const newcomer = yield* connectClient(options)
  yield* newcomer.until("a newcomer has both", () => newcomer.list().length === 2)
  yield* assertStored(database, libraryId, [{ ...writer }], "after the disk takes writes again")
  const replayed = yield* runCommand(database, "replay")
  assert.strictEqual(replayed.exitCode, 0, replayed.stdout + replayed.stderr)
  console.log(
    `${before} updates were acknowledged before the disk refused writes, and ${writer.acknowledged} in the end: 0 lost`
  )
})

/** Writes to the segments of the write-ahead log that Postgres has already, until it needs one more. */
const fillSegments = (url: string) => {
  const write = administer("SELECT pg_logical_emit_message(false, 'other', repeat('x', 1000000), true)::text", url)
  return Effect.forever(write).pipe(Effect.catchDefect(() => Effect.void))
}

describe("a full disk of Postgres", () => {
  it.live.each([
    ["its data", "data", "96m"],
    ["its write-ahead log", "wal", "16m"]
  ] as const)("with %s: nothing is lost, and the server goes on once there is room", ([_, holds, size]) =>
    Effect.gen(function* () {
      const cluster = yield* Effect.acquireRelease(
        Effect.promise(() =>
          makeCluster({
            disk: { holds, mount: mountInMemory(size) },
            initdb: ["--wal-segsize=1"],
            // As for a standby that is gone: no checkpoint deletes a segment of the write-ahead log.
            settings: { wal_keep_size: "1GB" }
          })
        ),
        (cluster) => Effect.sync(cluster.remove)
      )
      yield* Effect.orDie(PgStorage.applyMigrations({ url: cluster.url }))
      const server = yield* spawnServer(cluster.url)
      let free = () => {}
      yield* writeThrough({
        database: cluster.url,
        server,
        refuse: Effect.gen(function* () {
          free = fill(holds === "wal" ? join(cluster.data, "pg_wal") : cluster.data)
          if (holds === "wal") yield* fillSegments(cluster.url)
        }),
        allow: Effect.sync(() => {
          free()
          // It gives up if it cannot even recover.
          console.log(
            `Postgres ${cluster.isRunning() ? "runs" : "has given up"} on the disk that is full with ${holds}`
          )
          if (!cluster.isRunning()) cluster.start()
        }),
        // Updates that fit into pages and segments that Postgres has are stored.
        storesSome: true
      })
      assert.isNull(server.exitCode())
    })
  )
})

/** Ends a Postgres that cannot remove its lock file, for which `pg_ctl stop` would wait for ever. */
const endAtOnce = Effect.fnUntraced(function* (cluster: PostgresCluster) {
  const pid = Number(readFileSync(join(cluster.data, "postmaster.pid"), "utf8").split("\n", 1)[0])
  if (cluster.isRunning()) process.kill(pid, "SIGQUIT")
  yield* until("Postgres has ended", () => !cluster.isRunning())
})

describe("a disk of Postgres that the kernel has made read-only", () => {
  it.live("loses nothing, and the server goes on after a repair", () =>
    Effect.gen(function* () {
      let disk: Ext4Disk | undefined
      const mount = (folder: string) => {
        disk = mountExt4(folder, "192M")
        return disk.remove
      }
      const cluster = yield* Effect.acquireRelease(
        Effect.promise(() => makeCluster({ disk: { holds: "data", mount }, initdb: ["--wal-segsize=1"] })),
        (cluster) => Effect.sync(cluster.remove)
      )
      yield* Effect.orDie(PgStorage.applyMigrations({ url: cluster.url }))
      // The cluster was made without a flush. From here on, Postgres flushes what it has to.
      execFileSync("sync", ["--file-system", cluster.data])
      const server = yield* spawnServer(cluster.url)
      yield* writeThrough({
        database: cluster.url,
        server,
        refuse: Effect.sync(() => disk!.breakDown()),
        allow: Effect.gen(function* () {
          console.log(`Postgres ${cluster.isRunning() ? "runs" : "has given up"} on the disk that is read-only`)
          yield* endAtOnce(cluster)
          disk!.repair()
          cluster.start()
        })
      })
      assert.isNull(server.exitCode())
    })
  )
})

describe("a disk of SQLite that refuses writes", () => {
  it.live("acknowledges nothing, and the server goes on once the disk takes them", () =>
    Effect.gen(function* () {
      const disk = yield* ext4Disk
      const filename = join(disk.folder, "sealog.db")
      const server = yield* spawnServer(`sqlite:${filename}`)
      const files = [filename, `${filename}-wal`]
      yield* writeThrough({
        database: `sqlite:${filename}`,
        server,
        refuse: Effect.sync(() => disk.refuseWrites(...files)),
        allow: Effect.sync(() => disk.allowWrites(...files))
      })
      assert.isNull(server.exitCode())
    })
  )

  it.live("keeps the server from being ready without any client, until a write of its own succeeds", () =>
    Effect.gen(function* () {
      const disk = yield* ext4Disk
      const filename = join(disk.folder, "sealog.db")
      const server = yield* spawnServer(`sqlite:${filename}`)
      const token = yield* mintToken(randomName())
      yield* Effect.scoped(
        Effect.gen(function* () {
          const client = yield* connectClient({ url: server.url, documentId: randomName(), token })
          client.write("before")
          yield* client.until("it is stored", client.isSettledOnActive)
          disk.refuseWrites(filename, `${filename}-wal`)
          client.write("while it refuses")
          yield* untilReady(server, 503)
        })
      )
      const failures = () => server.output().split("A commit failed").length
      const failed = failures()
      yield* until("the server has tried six times more", () => failures() > failed + 6, server.output)
      assert.strictEqual(yield* statusOf(server, "/readyz"), 503)
      disk.allowWrites(filename, `${filename}-wal`)
      yield* untilReady(server, 200)
    })
  )

  it.live("because the kernel has made it read-only: the server ends in order, and goes on after a repair", () =>
    Effect.gen(function* () {
      const disk = yield* ext4Disk
      const database = `sqlite:${join(disk.folder, "sealog.db")}`
      const server = yield* spawnServer(database)
      yield* writeThrough({
        database,
        server,
        refuse: Effect.sync(disk.breakDown),
        allow: Effect.gen(function* () {
          yield* server.stop
          assert.strictEqual(server.exitCode(), 0, server.output())
          disk.repair()
          yield* spawnServer(database, { port: server.port })
        })
      })
    })
  )
})
