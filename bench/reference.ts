/**
 * The peer: `secsync-server` 0.5.0 from npm, on storage functions such as its setup guide describes. One SQLite file in
 * WAL mode with synchronous=FULL, as ours; one serializable transaction a call (BEGIN IMMEDIATE).
 *
 *   node bench/reference.ts <file> — prints its port.
 */
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import { DatabaseSync } from "node:sqlite"
import sodium from "libsodium-wrappers"
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
const db = new DatabaseSync(process.argv[2] ?? ":memory:")
db.exec(`
  PRAGMA journal_mode = WAL;
  PRAGMA synchronous = FULL;
  CREATE TABLE documents (id TEXT PRIMARY KEY, active_snapshot_id TEXT);
  CREATE TABLE snapshots (
    id TEXT PRIMARY KEY, document_id TEXT NOT NULL, latest_version INTEGER NOT NULL, data TEXT NOT NULL,
    ciphertext_hash TEXT NOT NULL, clocks TEXT NOT NULL, parent_proof TEXT NOT NULL
  );
  CREATE INDEX snapshots_by_document ON snapshots (document_id);
  CREATE TABLE updates (
    id TEXT PRIMARY KEY, snapshot_id TEXT NOT NULL, version INTEGER NOT NULL, clock INTEGER NOT NULL,
    author TEXT NOT NULL, data TEXT NOT NULL, UNIQUE (snapshot_id, version), UNIQUE (snapshot_id, author, clock)
  );`)

const statements = {
  addDocument: db.prepare("INSERT OR IGNORE INTO documents (id) VALUES (?)"),
  active: db.prepare("SELECT s.* FROM documents d JOIN snapshots s ON s.id = d.active_snapshot_id WHERE d.id = ?"),
  activate: db.prepare("UPDATE documents SET active_snapshot_id = ? WHERE id = ?"),
  addSnapshot: db.prepare("INSERT INTO snapshots VALUES (?, ?, 0, ?, ?, '{}', ?)"),
  advance: db.prepare("UPDATE snapshots SET latest_version = ?, clocks = ? WHERE id = ?"),
  lineage: db.prepare(
    "SELECT id, ciphertext_hash, parent_proof FROM snapshots WHERE document_id = ? AND rowid > (SELECT rowid FROM snapshots WHERE id = ?) ORDER BY rowid"
  ),
  addUpdate: db.prepare("INSERT INTO updates VALUES (?, ?, ?, ?, ?, ?)"),
  updates: db.prepare("SELECT data FROM updates WHERE snapshot_id = ? AND version > ? ORDER BY version"),
  versionOf: db.prepare("SELECT version FROM updates WHERE id = ?")
}

interface SnapshotRow {
  readonly id: string
  readonly latest_version: number
  readonly data: string
  readonly ciphertext_hash: string
  readonly clocks: string
  readonly parent_proof: string
}

const inTransaction = <A>(work: () => A): A => {
  db.exec("BEGIN IMMEDIATE")
  try {
    const result = work()
    db.exec("COMMIT")
    return result
  } catch (error) {
    db.exec("ROLLBACK")
    throw error
  }
}

const activeOf = (documentId: string) => statements.active.get(documentId) as unknown as SnapshotRow | undefined

const createSnapshot = async ({ snapshot }: CreateSnapshotParams): Promise<Snapshot> =>
  inTransaction(() => {
    const { docId, snapshotId, parentSnapshotId, parentSnapshotUpdateClocks, parentSnapshotProof } = snapshot.publicData
    const active = activeOf(docId)
    if (active !== undefined) {
      if (parentSnapshotId !== active.id) throw new SecsyncSnapshotBasedOnOutdatedSnapshotError("outdated")
      const clocks: Record<string, number> = JSON.parse(active.clocks)
      const claimed = Object.entries(parentSnapshotUpdateClocks)
      const isSame = claimed.length === Object.keys(clocks).length && claimed.every(([key, n]) => clocks[key] === n)
      if (!isSame) throw new SecsyncSnapshotMissesUpdatesError("misses updates")
    }
    const { additionalServerData: _, ...stored } = snapshot
    statements.addSnapshot.run(
      snapshotId,
      docId,
      JSON.stringify(stored),
      hash(snapshot.ciphertext, sodium),
      parentSnapshotProof
    )
    statements.activate.run(snapshotId, docId)
    return stored
  })

const createUpdate = async ({ update }: CreateUpdateParams): Promise<Update> =>
  inTransaction(() => {
    const { docId, refSnapshotId, pubKey, clock } = update.publicData
    const active = activeOf(docId)
    if (active?.id !== refSnapshotId) throw new Error("the update is of a snapshot that is not active")
    const clocks: Record<string, number> = JSON.parse(active.clocks)
    if (clock !== (clocks[pubKey] ?? -1) + 1) throw new Error(`the clock ${clock} is not the next`)
    const version = active.latest_version + 1
    statements.advance.run(version, JSON.stringify({ ...clocks, [pubKey]: clock }), active.id)
    const id = `${refSnapshotId}-${pubKey}-${clock}`
    statements.addUpdate.run(id, refSnapshotId, version, clock, pubKey, JSON.stringify(update))
    return update
  })

const getDocument = async ({ documentId, knownSnapshotId, knownSnapshotUpdateClocks, mode }: GetDocumentParams) =>
  inTransaction(() => {
    statements.addDocument.run(documentId)
    const active = activeOf(documentId)
    if (active === undefined) return { updates: [], snapshotProofChain: [] }
    const isKnown = knownSnapshotId === active.id
    const versions = Object.entries(isKnown ? (knownSnapshotUpdateClocks ?? {}) : {}).map(
      ([key, clock]) => statements.versionOf.get(`${active.id}-${key}-${clock}`)?.["version"]
    )
    const after = Math.max(0, ...versions.map(Number).filter(Number.isFinite))
    const updates = statements.updates.all(active.id, after).map((row): Update => JSON.parse(String(row["data"])))
    if (mode === "delta" && isKnown) return { updates }
    const lineage = knownSnapshotId === undefined || isKnown ? [] : statements.lineage.all(documentId, knownSnapshotId)
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
