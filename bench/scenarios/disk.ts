/** Measures the bytes on disk for an update, once the server has ended. */
import { statSync } from "node:fs"
import { generate } from "../harness/generator.ts"
import { query } from "../harness/postgres.ts"
import { eachRound, inTurns, type Scenario } from "../harness/scenario.ts"
import { type ServerName, type Storage, startServer, token } from "../harness/servers.ts"

const [DOCUMENTS, EACH] = [50, 400] as const

/** Returns the size of tables, indexes and TOAST data, without the write-ahead log. */
const bytesOf = async (storage: Storage, database: string): Promise<number> => {
  if (storage === "sqlite") return statSync(database.slice("sqlite:".length)).size
  const row = await query(
    database,
    `SELECT sum(pg_total_relation_size(c.oid))::float8 AS bytes FROM pg_class c
     JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE c.relkind IN ('r', 'p') AND n.nspname NOT IN ('pg_catalog', 'information_schema')`
  )
  return Number(row?.["bytes"])
}

export const scenario: Scenario = {
  title: "Disk",
  keys: ["server", "storage", "ciphertext bytes"],
  rounds: eachRound(async (bench) => {
    const servers: ReadonlyArray<ServerName> = ["sealog", "secsync-server"]
    const variants = bench.storages.flatMap((storage) =>
      [100, 1000].flatMap((ciphertext) => servers.map((server) => ({ server, storage, ciphertext })))
    )
    const rows = await inTurns(bench, variants, async ({ ciphertext, server, storage }) => {
      const started = await startServer(server, { storage })
      // The process checkpoints the write-ahead log when it ends.
      const load = { documents: DOCUMENTS, inFlight: 1, readers: 0, each: EACH, ciphertext, seconds: 0 }
      await generate("updates", { ...load, url: started.url, token })
      await started.stop()
      const bytes = await bytesOf(storage, started.database)
      await started.remove()
      return { server, storage, "ciphertext bytes": ciphertext, "bytes/update": bytes / (DOCUMENTS * EACH) }
    })
    return rows.map((row) => {
      const peer = rows.find(
        (other) =>
          other.server === "secsync-server" &&
          other.storage === row.storage &&
          other["ciphertext bytes"] === row["ciphertext bytes"]
      )
      return { ...row, "% of peer": (100 * row["bytes/update"]) / (peer?.["bytes/update"] ?? Number.NaN) }
    })
  })
}
