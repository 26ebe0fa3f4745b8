/**
 * The peer `secsync-server` 0.5.0 from npm, on storage functions that are as lean as possible. They do not use the mapper of
 * the peer's own backends (`secsyncPrisma.mjs` does). Each call is one serializable transaction on Postgres, or on one SQLite
 * file in WAL mode with synchronous=FULL, as ours.
 *
 *   node bench/peers/secsync.ts <sqlite:FILE | postgres://…> — prints its URL.
 */
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import { DatabaseSync } from "node:sqlite"
import sodium from "libsodium-wrappers"
import pg from "pg"
import {
  type CreateSnapshotParams,
  type CreateUpdateParams,
  type GetDocumentParams,
  hash,
  SecsyncSnapshotBasedOnOutdatedSnapshotError,
  SecsyncSnapshotMissesUpdatesError,
  type Snapshot,
  type SnapshotProofChainEntry,
  type Update
} from "secsync"
import { createWebSocketConnection } from "secsync-server"
import { WebSocketServer } from "ws"

await sodium.ready

const TABLES = [
  "CREATE TABLE documents (id TEXT PRIMARY KEY, active_snapshot_id TEXT)",
  `CREATE TABLE snapshots (
    id TEXT PRIMARY KEY, document_id TEXT NOT NULL, number INTEGER NOT NULL, latest_version INTEGER NOT NULL,
    data TEXT NOT NULL, ciphertext_hash TEXT NOT NULL, clocks TEXT NOT NULL, parent_proof TEXT NOT NULL
  )`,
  "CREATE INDEX snapshots_by_document ON snapshots (document_id, number)",
  `CREATE TABLE updates (
    id TEXT PRIMARY KEY, snapshot_id TEXT NOT NULL, version INTEGER NOT NULL, clock INTEGER NOT NULL,
    author TEXT NOT NULL, data TEXT NOT NULL, UNIQUE (snapshot_id, version), UNIQUE (snapshot_id, author, clock)
  )`
]

type Rows = ReadonlyArray<Readonly<Record<string, unknown>>>
/** Parameters are ?1, ?2 … */
type Query = (statement: string, ...parameters: ReadonlyArray<string | number>) => Promise<Rows>
interface Database {
  readonly inTransaction: <A>(work: (query: Query) => Promise<A>) => Promise<A>
}

const openSqlite = (file: string): Database => {
  const db = new DatabaseSync(file)
  for (const statement of ["PRAGMA journal_mode = WAL", "PRAGMA synchronous = FULL", ...TABLES]) db.exec(statement)
  const prepared = new Map<string, ReturnType<DatabaseSync["prepare"]>>()
  const query: Query = async (statement, ...parameters) => {
    const found = prepared.get(statement) ?? db.prepare(statement)
    prepared.set(statement, found)
    return found.all(...parameters)
  }
  let last: Promise<unknown> = Promise.resolve()
  return {
    // There is one connection, so transactions run one after the other.
    inTransaction: (work) => {
      const run = async () => {
        db.exec("BEGIN IMMEDIATE")
        try {
          const result = await work(query)
          db.exec("COMMIT")
          return result
        } catch (error) {
          db.exec("ROLLBACK")
          throw error
        }
      }
      const result = last.then(run, run)
      last = result
      return result
    }
  }
}

const openPostgres = async (url: string): Promise<Database> => {
  const pool = new pg.Pool({ connectionString: url, max: 10 })
  for (const statement of TABLES) await pool.query(statement)
  return {
    inTransaction: async (work) => {
      const client = await pool.connect()
      try {
        await client.query("BEGIN ISOLATION LEVEL SERIALIZABLE")
        const result = await work(async (statement, ...parameters) => {
          const text = statement.replaceAll(/\?(\d)/g, "$$$1")
          return (await client.query({ name: text.slice(0, 60), text, values: [...parameters] })).rows
        })
        await client.query("COMMIT")
        return result
      } catch (error) {
        await client.query("ROLLBACK")
        throw error
      } finally {
        client.release()
      }
    }
  }
}

const url = process.argv[2] ?? ""
const database = url.startsWith("sqlite:") ? openSqlite(url.slice("sqlite:".length)) : await openPostgres(url)

interface SnapshotRow {
  readonly id: string
  readonly number: number
  readonly latest_version: number
  readonly data: string
  readonly ciphertext_hash: string
  readonly clocks: string
  readonly parent_proof: string
}

const activeOf = async (query: Query, documentId: string): Promise<SnapshotRow | undefined> =>
  (
    await query(
      "SELECT s.* FROM documents d JOIN snapshots s ON s.id = d.active_snapshot_id WHERE d.id = ?1",
      documentId
    )
  )[0] as SnapshotRow | undefined

const createSnapshot = ({ snapshot }: CreateSnapshotParams): Promise<Snapshot> =>
  database.inTransaction(async (query) => {
    const { docId, snapshotId, parentSnapshotId, parentSnapshotUpdateClocks, parentSnapshotProof } = snapshot.publicData
    const active = await activeOf(query, docId)
    if (active !== undefined) {
      if (parentSnapshotId !== active.id) throw new SecsyncSnapshotBasedOnOutdatedSnapshotError("outdated")
      const clocks: Record<string, number> = JSON.parse(active.clocks)
      const claimed = Object.entries(parentSnapshotUpdateClocks)
      const isSame = claimed.length === Object.keys(clocks).length && claimed.every(([key, n]) => clocks[key] === n)
      if (!isSame) throw new SecsyncSnapshotMissesUpdatesError("misses updates")
    }
    const { additionalServerData: _, ...stored } = snapshot
    const ciphertextHash = hash(snapshot.ciphertext, sodium)
    await query(
      "INSERT INTO snapshots VALUES (?1, ?2, ?3, 0, ?4, ?5, '{}', ?6)",
      ...[snapshotId, docId, (active?.number ?? 0) + 1, JSON.stringify(stored), ciphertextHash, parentSnapshotProof]
    )
    await query("UPDATE documents SET active_snapshot_id = ?1 WHERE id = ?2", snapshotId, docId)
    return stored
  })

const createUpdate = ({ update }: CreateUpdateParams): Promise<Update> =>
  database.inTransaction(async (query) => {
    const { docId, refSnapshotId, pubKey, clock } = update.publicData
    const active = await activeOf(query, docId)
    if (active?.id !== refSnapshotId) throw new Error("the update is of a snapshot that is not active")
    const clocks: Record<string, number> = JSON.parse(active.clocks)
    if (clock !== (clocks[pubKey] ?? -1) + 1) throw new Error(`the clock ${clock} is not the next`)
    const version = active.latest_version + 1
    await query(
      "UPDATE snapshots SET latest_version = ?1, clocks = ?2 WHERE id = ?3",
      ...[version, JSON.stringify({ ...clocks, [pubKey]: clock }), active.id]
    )
    await query(
      "INSERT INTO updates VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
      ...[`${refSnapshotId}-${pubKey}-${clock}`, refSnapshotId, version, clock, pubKey, JSON.stringify(update)]
    )
    return update
  })

const getDocument = ({ documentId, knownSnapshotId, knownSnapshotUpdateClocks, mode }: GetDocumentParams) =>
  database.inTransaction(async (query) => {
    await query("INSERT INTO documents (id) VALUES (?1) ON CONFLICT DO NOTHING", documentId)
    const active = await activeOf(query, documentId)
    if (active === undefined) return { updates: [], snapshotProofChain: [] }
    const isKnown = knownSnapshotId === active.id
    let after = 0
    for (const [key, clock] of Object.entries(isKnown ? (knownSnapshotUpdateClocks ?? {}) : {})) {
      const [found] = await query("SELECT version FROM updates WHERE id = ?1", `${active.id}-${key}-${clock}`)
      after = Math.max(after, Number(found?.["version"] ?? 0))
    }
    const stored = await query(
      "SELECT data FROM updates WHERE snapshot_id = ?1 AND version > ?2 ORDER BY version",
      ...[active.id, after]
    )
    const updates = stored.map((row): Update => JSON.parse(String(row["data"])))
    if (mode === "delta" && isKnown) return { updates }
    const lineage =
      knownSnapshotId === undefined || isKnown
        ? []
        : await query(
            `SELECT id, ciphertext_hash, parent_proof FROM snapshots WHERE document_id = ?1
             AND number > (SELECT number FROM snapshots WHERE id = ?2) ORDER BY number`,
            ...[documentId, knownSnapshotId]
          )
    const snapshotProofChain = lineage.map(
      (row): SnapshotProofChainEntry => ({
        snapshotId: String(row["id"]),
        snapshotCiphertextHash: String(row["ciphertext_hash"]),
        parentSnapshotProof: String(row["parent_proof"])
      })
    )
    const snapshot: Snapshot = JSON.parse(active.data)
    return { snapshot, updates, snapshotProofChain }
  })

const sockets = new WebSocketServer({ noServer: true })
sockets.on(
  "connection",
  createWebSocketConnection({
    getDocument,
    createSnapshot,
    createUpdate,
    hasAccess: async () => true,
    hasBroadcastAccess: async ({ websocketSessionKeys }) => websocketSessionKeys.map(() => true),
    logging: "off"
  })
)
const server = createServer()
server.on("upgrade", (request, socket, head) => {
  sockets.handleUpgrade(request, socket, head, (ws) => sockets.emit("connection", ws, request))
})
server.listen(0, "127.0.0.1", () => console.log(`ws://127.0.0.1:${(server.address() as AddressInfo).port}`))
process.once("SIGTERM", () => process.exit(0))
