/** The shipped scrape configuration, alert rules and dashboard, with Debian's Prometheus and a real server. */
import { mkdtempSync, readFileSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { makeAuthor, snapshotMessage, updateMessage } from "@sealog/server/testing"
import { PgStorage } from "@sealog/storage-pg"
import { Deferred, Effect, type Scope } from "effect"
import { SqlClient } from "effect/sql"
import { vi } from "vitest"
import { connectRaw } from "../support/clients/RawSecsync.ts"
import { freePort } from "../support/network/freePort.ts"
import { mintToken, spawnServer } from "../support/servers/ServerProcess.ts"
import { randomName } from "../support/servers/TestServer.ts"
import { freshStorage } from "../support/storage/databases.ts"
import { until } from "../support/until.ts"
import { runProgram, runToEnd } from "./Binary.ts"

// A commit has to be held up for more than five seconds.
vi.setConfig({ testTimeout: 300_000 })

const deploy = join(import.meta.dirname, "../../deploy/observability")
const read = (file: string): string => readFileSync(join(deploy, file), "utf8")

interface Prometheus {
  /** The series that a query returns now. */
  readonly query: (text: string) => Effect.Effect<ReadonlyArray<{ readonly value: readonly [number, string] }>>
  /** The names of the alerts that fire now. */
  readonly firing: Effect.Effect<ReadonlyArray<string>>
}

/** Runs Prometheus with the shipped files, on other ports and with a look every second. */
const startPrometheus: (metricsPort: number) => Effect.Effect<Prometheus, never, Scope.Scope> = Effect.fnUntraced(
  function* (metricsPort) {
    const folder = mkdtempSync(join(tmpdir(), "sealog-prometheus-"))
    const config = read("prometheus.yml")
      .replace(/"localhost:9464", "localhost:9465"/, `"127.0.0.1:${metricsPort}"`)
      .replaceAll(/_interval: 15s/g, "_interval: 1s")
    assert.include(config, String(metricsPort))
    writeFileSync(join(folder, "prometheus.yml"), config)
    writeFileSync(join(folder, "alerts.yml"), read("alerts.yml"))
    const port = yield* Effect.promise(freePort)
    const args = [
      `--config.file=${join(folder, "prometheus.yml")}`,
      `--storage.tsdb.path=${join(folder, "data")}`,
      `--web.listen-address=127.0.0.1:${port}`
    ]
    yield* runProgram("prometheus", args, port)
    const isReady = Effect.promise(async () => (await fetch(`http://127.0.0.1:${port}/-/ready`)).ok)
    yield* until("Prometheus answers", isReady)
    const get = (path: string) =>
      Effect.promise(async () => {
        const response = await fetch(`http://127.0.0.1:${port}/api/v1/${path}`)
        const { data, error, status } = await response.json()
        if (status !== "success") throw new Error(`${path}: ${error}`)
        return data
      })
    return {
      query: (text) => Effect.map(get(`query?query=${encodeURIComponent(text)}`), ({ result }) => result),
      firing: Effect.map(get("alerts"), ({ alerts }) =>
        alerts
          .filter(({ state }: { readonly state: string }) => state === "firing")
          .map(({ labels }: { readonly labels: { readonly alertname: string } }) => labels.alertname)
      )
    }
  }
)

/** A server on Postgres that Prometheus scrapes, with a document and its author. */
const start = Effect.gen(function* () {
  const database = yield* freshStorage
  const metricsPort = yield* Effect.promise(freePort)
  const server = yield* spawnServer(database, {
    args: ["--metrics-port", String(metricsPort), "--canary", "1s"]
  })
  const token = yield* mintToken(randomName())
  const [author, docId] = [makeAuthor(), randomName()]
  const connect = connectRaw({ url: server.url, documentId: docId, token })
  const client = yield* connect
  const snapshot = snapshotMessage(author, { docId })
  client.send(snapshot)
  yield* client.next("snapshot-saved")
  const { snapshotId: refSnapshotId } = snapshot.publicData
  const updateOf = (clock: number) => updateMessage(author, { docId, refSnapshotId, clock })
  const update = (clock: number) => client.send(updateOf(clock))
  const prometheus = yield* startPrometheus(metricsPort)
  yield* until("the server is scraped", Effect.map(prometheus.query('up{job="sealog"} == 1'), hasSome))
  return { client, connect, database, prometheus, update, updateOf }
})

const hasSome = (list: ReadonlyArray<unknown>): boolean => list.length > 0

/** Holds up every commit until the scope closes: another session keeps the table of events. */
const lockEvents = Effect.fnUntraced(function* (database: string) {
  const [locked, release] = [yield* Deferred.make<void>(), yield* Deferred.make<void>()]
  const lock = Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    const hold = Effect.gen(function* () {
      yield* sql`LOCK TABLE sealog.events IN EXCLUSIVE MODE`
      yield* Deferred.succeed(locked, undefined)
      yield* Deferred.await(release)
    })
    yield* sql.withTransaction(hold)
  }).pipe(Effect.provide(PgStorage.layerClient({ url: database })), Effect.orDie)
  yield* Effect.forkScoped(lock)
  yield* Deferred.await(locked)
  return Deferred.succeed(release, undefined)
})

describe("the files for Prometheus and Grafana", () => {
  it("pass promtool", () => {
    assert.include(runToEnd("promtool", ["check", "rules", join(deploy, "alerts.yml")]), "SUCCESS")
    assert.include(runToEnd("promtool", ["check", "config", join(deploy, "prometheus.yml")]), "SUCCESS")
  })

  it.live("have queries that find something in a real scrape", () =>
    Effect.gen(function* () {
      const { client, prometheus, update } = yield* start
      for (let clock = 0; clock < 20; clock++) update(clock)
      yield* client.next("update-saved", ({ clock }) => clock === 19)
      const { panels } = JSON.parse(read("dashboard.json"))
      const queries: ReadonlyArray<string> = panels.flatMap(
        ({ targets = [] }: { readonly targets?: ReadonlyArray<{ readonly expr: string }> }) =>
          targets.map(({ expr }) => expr)
      )
      assert.isAbove(queries.length, 30)
      const seen = 'sum(rate(sealog_events_stored_total{type="UpdateStored"}[1m])) > 0'
      yield* until("the updates are scraped", Effect.map(prometheus.query(seen), hasSome))
      for (const query of queries) {
        const text = query
          .replaceAll("$instance", ".*")
          .replaceAll("$__rate_interval", "1m")
          // A query for what happens seldom finds nothing yet.
          .replace(/ > 0$/, "")
        assert.isNotEmpty(yield* prometheus.query(text), text)
      }
      assert.deepStrictEqual(yield* prometheus.firing, [])
    })
  )

  it.live("alert when a commit is held up, until it goes on", () =>
    Effect.gen(function* () {
      const { client, connect, database, prometheus, updateOf } = yield* start
      const update = updateOf(0)
      const release = yield* lockEvents(database)
      client.send(update)
      yield* until(
        "the alert fires",
        Effect.map(prometheus.firing, (alerts) => alerts.includes("SealogCommitHeldUp"))
      )
      yield* until(
        "so does that of the canary",
        Effect.map(prometheus.firing, (alerts) => alerts.includes("SealogCanaryLate"))
      )
      yield* release
      // The server may have given the commit up, and closed its author.
      const again = yield* connect
      again.send(update)
      yield* again.next("update-saved")
      yield* until(
        "the alert ends",
        Effect.map(prometheus.firing, (alerts) => alerts.length === 0)
      )
    })
  )
})
