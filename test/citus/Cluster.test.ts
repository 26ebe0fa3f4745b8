/** A log on a Citus cluster: its nodes, its shards, its rights, and its way to other storages. */
import { assert, describe, it } from "@effect/vitest"
import { blake2b256 } from "@sealog/server/domain/Blake2b"
import { LibraryId } from "@sealog/server/domain/Ids"
import { advance, emptyHead, place, type StreamHead, type StreamKey } from "@sealog/server/domain/Stream"
import { type Append, EventLog } from "@sealog/server/ports/EventLog"
import { PgStorage } from "@sealog/storage-pg"
import { Context, Effect, Fiber, Layer } from "effect"
import { SqlClient } from "effect/sql"
import { runCommand } from "../support/servers/ServerProcess.ts"
import { emptyCitusDatabase, freshCitusDatabase, nodes, nodeUrl } from "../support/storage/citus.ts"
import { storages } from "../support/storage/databases.ts"
import { until } from "../support/until.ts"

const openLog = (url: string) =>
  Effect.map(Layer.build(PgStorage.layerWithoutMigrations({ url })), (services) => Context.get(services, EventLog))

const openSql = (url: string) =>
  Effect.map(Layer.build(PgStorage.layerClient({ url })), (services) => Context.get(services, SqlClient.SqlClient))

const payload = new TextEncoder().encode("sealed")
const update = { type: "UpdateStored", data: {}, payloadHash: blake2b256(payload), checkpoint: false }

const nextUpdate = (key: StreamKey, head: StreamHead): { readonly append: Append; readonly head: StreamHead } => {
  const event = place(key, head, update, "test", 1)
  return { append: { key, expectedVersion: head.version, events: [{ event, payload }] }, head: advance(head, event) }
}

const keysOf = (count: number): ReadonlyArray<StreamKey> =>
  Array.from({ length: count }, (_, i) => ({ libraryId: LibraryId.make(`library-${i}`), streamId: "welcome" }))

/** Appends to one stream of each library until it is stopped. Returns the last head of each that was acknowledged. */
const beginWriting = Effect.fnUntraced(function* (log: EventLog["Service"], keys: ReadonlyArray<StreamKey>) {
  let isStopped = false
  const acknowledged = new Map<StreamKey, StreamHead>(keys.map((key) => [key, emptyHead]))
  let failures = 0
  const write = Effect.gen(function* () {
    while (!isStopped) {
      // A failed append may have been stored, so the writer reads where the streams end.
      const heads = yield* Effect.exit(log.heads(keys))
      if (heads._tag === "Failure") continue
      const next = keys.map((key, i) => ({ key, ...nextUpdate(key, heads.value[i]!) }))
      const [first, ...rest] = next.map(({ append }) => append)
      const results = yield* Effect.exit(log.append([first!, ...rest], { leaveHeld: true }))
      if (results._tag === "Failure") {
        failures += 1
        continue
      }
      for (const [i, { head, key }] of next.entries()) {
        if (results.value[i]!._tag === "Committed") acknowledged.set(key, head)
        else failures += 1
      }
    }
  })
  const fiber = yield* Effect.forkChild(write)
  const least = () => Math.min(...[...acknowledged.values()].map(({ version }) => version))
  return {
    failures: () => failures,
    /** Waits until each stream has this many more acknowledged updates. */
    more: (count: number) =>
      Effect.suspend(() => {
        const goal = least() + count
        return until(
          `each stream has ${goal} updates`,
          Effect.sync(() => least() >= goal)
        )
      }),
    stop: Effect.gen(function* () {
      isStopped = true
      yield* Fiber.join(fiber)
      return acknowledged
    })
  }
})

/** Fails if an acknowledged append is not in the log, or an event of a stream is missing or there twice. */
const holdsAll = Effect.fnUntraced(function* (
  log: EventLog["Service"],
  acknowledged: ReadonlyMap<StreamKey, StreamHead>
) {
  for (const [key, head] of acknowledged) {
    const events = yield* log.read(key, { after: 0 })
    assert.strictEqual(events[head.version - 1]?.event.chain, head.chain, key.libraryId)
    assert.deepStrictEqual(
      events.map(({ event }) => event.version),
      events.map((_, i) => i + 1)
    )
  }
})

describe("a worker that is killed while servers append", () => {
  it.live("loses no acknowledged append, and takes appends again", () =>
    Effect.gen(function* () {
      const url = yield* freshCitusDatabase
      const log = yield* openLog(url)
      const [, worker] = yield* nodes
      const writing = yield* beginWriting(log, keysOf(20))
      yield* writing.more(5)
      // Postgres takes a killed process for a crash: it ends all others, and recovers from its write-ahead log.
      const sql = yield* openSql(nodeUrl(url, worker!))
      yield* Effect.ignore(
        sql`DO $$ BEGIN EXECUTE format('COPY (SELECT 1) TO PROGRAM %L', 'kill -9 ' || pg_backend_pid()); END $$`
      )
      yield* writing.more(5)
      yield* holdsAll(log, yield* writing.stop)
    })
  )
})

describe("a shard that moves while servers append", () => {
  it.live("takes its appends along", () =>
    Effect.gen(function* () {
      const url = yield* freshCitusDatabase
      const [log, sql] = [yield* openLog(url), yield* openSql(url)]
      const keys = keysOf(4)
      const writing = yield* beginWriting(log, keys)
      yield* writing.more(3)
      const shards = sql<{ shard: string; port: number; other: number }>`
        SELECT DISTINCT sealog.shard_of(library)::text AS shard, n.nodeport AS port,
          (SELECT nodeport FROM pg_dist_node WHERE shouldhaveshards AND nodeport <> n.nodeport LIMIT 1) AS other
        FROM unnest(ARRAY['library-0', 'library-1']) AS library
        JOIN pg_dist_placement p ON p.shardid = sealog.shard_of(library) JOIN pg_dist_node n USING (groupid)`
      for (const mode of ["block_writes", "force_logical"]) {
        for (const { other, port, shard } of yield* shards) {
          const [from, to] = (yield* nodes)
            .filter((node) => node.port === port || node.port === other)
            .toSorted((a) => (a.port === port ? -1 : 1))
          yield* sql.unsafe(`SELECT citus_move_shard_placement(${shard}, '${from!.host}', ${from!.port},
            '${to!.host}', ${to!.port}, shard_transfer_mode := '${mode}')`)
          yield* writing.more(2)
        }
      }
      yield* holdsAll(log, yield* writing.stop)
      assert.strictEqual(writing.failures(), 0)
    })
  )
})

describe("a library that gets a shard of its own while servers append", () => {
  it.live("takes its appends along", () =>
    Effect.gen(function* () {
      const url = yield* freshCitusDatabase
      const [log, sql] = [yield* openLog(url), yield* openSql(url)]
      const writing = yield* beginWriting(log, keysOf(4))
      yield* writing.more(3)
      yield* sql`SELECT isolate_tenant_to_new_shard('sealog.streams', 'library-0', 'CASCADE', shard_transfer_mode := 'block_writes')`
      yield* writing.more(3)
      yield* holdsAll(log, yield* writing.stop)
    })
  )
})

describe("reads of one stream or library", () => {
  it.effect("ask one node", () =>
    Effect.gen(function* () {
      const url = yield* freshCitusDatabase
      yield* Effect.flatMap(openSql(url), (sql) =>
        sql.unsafe(`ALTER DATABASE ${new URL(url).pathname.slice(1)} SET citus.enable_stat_counters = on`)
      )
      const [log, sql] = [yield* openLog(url), yield* openSql(url)]
      yield* log.append([nextUpdate(keysOf(1)[0]!, emptyHead).append])
      const [key] = keysOf(1) as [StreamKey]
      const several = Effect.map(
        sql<{ queries: number }>`SELECT sum(query_execution_multi_shard)::float8 AS queries FROM citus_stat_counters
          WHERE name = current_database()`,
        ([row]) => row?.queries
      )
      const before = yield* several
      yield* log.read(key, { after: 0, limit: 10, maxBytes: 1000 })
      yield* log.read(key, { after: 0, payloads: false })
      yield* log.tail(key)
      yield* log.heads([key])
      yield* log.readKeyed(key, "a")
      yield* log.held(key, 2)
      yield* log.countStreams(key.libraryId)
      yield* log.streams({ libraryId: key.libraryId, limit: 10 })
      assert.strictEqual(yield* several, before)
      yield* log.streams({ limit: 10 })
      assert.strictEqual(yield* several, (before ?? 0) + 1)
    })
  )
})

describe("migrate --distribute", () => {
  it.live("distributes an empty log once, and refuses one that holds events", () =>
    Effect.gen(function* () {
      const url = yield* emptyCitusDatabase
      assert.deepInclude(yield* runCommand(url, "migrate"), { exitCode: 0 })
      assert.isFalse(yield* PgStorage.isDistributedLog({ url }))
      assert.deepInclude(yield* runCommand(url, "migrate", "--distribute"), { exitCode: 0 })
      assert.deepInclude(yield* runCommand(url, "migrate", "--distribute"), { exitCode: 0 })
      assert.isTrue(yield* PgStorage.isDistributedLog({ url }))

      const full = yield* emptyCitusDatabase
      yield* runCommand(full, "migrate")
      yield* (yield* openLog(full)).append([nextUpdate(keysOf(1)[0]!, emptyHead).append])
      const { exitCode, stdout } = yield* runCommand(full, "migrate", "--distribute")
      assert.strictEqual(exitCode, 3)
      assert.match(stdout, /holds events already/)
    })
  )
})

describe("a server's role on a cluster", () => {
  it.effect("reads, appends and purges, and changes no event", () =>
    Effect.gen(function* () {
      const url = yield* freshCitusDatabase
      const owner = yield* openSql(url)
      const role = `server_${crypto.randomUUID().slice(0, 8)}`
      yield* Effect.acquireRelease(owner.unsafe(`CREATE ROLE "${role}" LOGIN`), () =>
        Effect.orDie(Effect.andThen(owner.unsafe(`DROP OWNED BY "${role}"`), owner.unsafe(`DROP ROLE "${role}"`)))
      )
      yield* PgStorage.grant({ url }, role)
      const as = new URL(url)
      as.username = role
      const log = yield* openLog(as.href)
      const [key] = keysOf(1) as [StreamKey]
      const first = nextUpdate(key, emptyHead)
      yield* log.append([first.append])
      const second = nextUpdate(key, first.head)
      const third = nextUpdate(key, second.head)
      yield* log.exclusively(key, log.append([second.append]))
      assert.deepStrictEqual(yield* log.append([{ ...third.append, purgeBefore: 2 }]), [{ _tag: "Committed" }])
      assert.deepStrictEqual(
        (yield* log.read(key, { after: 0 })).map(({ payload }) => payload === null),
        [true, false, false]
      )
      const server = yield* openSql(as.href)
      for (const statement of ["UPDATE sealog.events SET origin = 'x'", "DELETE FROM sealog.events"]) {
        assert.strictEqual((yield* Effect.flip(server.unsafe(statement))).reason._tag, "AuthorizationError")
      }
      for (const statement of ["UPDATE sealog.events SET origin = 'x'", "TRUNCATE sealog.events"]) {
        assert.match(String((yield* Effect.flip(owner.unsafe(statement))).reason.cause), /never changed/, statement)
      }
    })
  )
})

describe.each(storages)("replay between a cluster and $name", ({ fresh }) => {
  it.live("copies the log both ways", () =>
    Effect.gen(function* () {
      const [url, other, back] = [yield* freshCitusDatabase, yield* fresh, yield* freshCitusDatabase]
      const log = yield* openLog(url)
      const keys = keysOf(30)
      const heads = yield* Effect.forEach(keys, (key) => {
        const first = nextUpdate(key, emptyHead)
        const second = nextUpdate(key, first.head)
        return Effect.as(Effect.andThen(log.append([first.append]), log.append([second.append])), second.head)
      })
      assert.deepInclude(yield* runCommand(url, "replay", "--to", other), { exitCode: 0 })
      assert.deepInclude(yield* runCommand(other, "replay", "--to", back), { exitCode: 0 })
      const copy = yield* openLog(back)
      assert.deepStrictEqual(yield* copy.heads(keys), heads)
      const stats = JSON.parse((yield* runCommand(back, "stats")).stdout)
      assert.deepInclude(stats, { libraries: 30, payloads: 60 })
      assert.isAbove(stats.diskBytes, 0)
      const { stdout } = yield* runCommand(back, "doctor")
      const findings: ReadonlyArray<{ check: string; state: string }> = JSON.parse(stdout).findings
      assert.deepInclude(
        findings.find(({ check }) => check === "nodes"),
        { state: "ok" },
        stdout
      )
    })
  )
})
