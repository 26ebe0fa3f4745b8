/**
 * The server of secsync's setup guide: `secsync-server` from npm on Postgres. The guide's functions are here with the SQL that
 * Prisma makes of them, because Prisma's engine is not available everywhere. Tables and checks are the guide's.
 *
 *   node test/support/servers/guide.ts postgres://… — makes the tables, and prints its URL.
 */
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import sodium from "libsodium-wrappers"
import pg from "pg"
import {
  compareUpdateClocks,
  hash,
  SecsyncSnapshotBasedOnOutdatedSnapshotError,
  SecsyncSnapshotMissesUpdatesError,
  type Snapshot,
  type Update
} from "secsync"
import { createWebSocketConnection } from "secsync-server"
import { WebSocketServer } from "ws"

await sodium.ready

/** The migration of the guide's example (examples/backend/prisma/migrations). */
const MIGRATION = `
  CREATE TABLE "Document" (
    "id" TEXT NOT NULL, "activeSnapshotId" TEXT, "createdAt" TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    CONSTRAINT "Document_pkey" PRIMARY KEY ("id")
  );
  CREATE TABLE "Snapshot" (
    "id" TEXT NOT NULL, "latestVersion" INTEGER NOT NULL, "data" TEXT NOT NULL, "ciphertextHash" TEXT NOT NULL,
    "documentId" TEXT NOT NULL, "createdAt" TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP, "clocks" JSONB NOT NULL,
    "parentSnapshotUpdateClocks" JSONB NOT NULL, "parentSnapshotProof" TEXT NOT NULL,
    CONSTRAINT "Snapshot_pkey" PRIMARY KEY ("id")
  );
  CREATE TABLE "Update" (
    "id" TEXT NOT NULL, "version" INTEGER NOT NULL, "data" TEXT NOT NULL, "snapshotId" TEXT NOT NULL,
    "clock" INTEGER NOT NULL, "pubKey" TEXT NOT NULL
  );
  CREATE UNIQUE INDEX "Document_activeSnapshotId_key" ON "Document"("activeSnapshotId");
  CREATE UNIQUE INDEX "Update_id_key" ON "Update"("id");
  CREATE INDEX "Update_id_version_idx" ON "Update"("id", "version");
  CREATE UNIQUE INDEX "Update_snapshotId_version_key" ON "Update"("snapshotId", "version");
  CREATE UNIQUE INDEX "Update_snapshotId_pubKey_clock_key" ON "Update"("snapshotId", "pubKey", "clock");
  ALTER TABLE "Document" ADD CONSTRAINT "Document_activeSnapshotId_fkey" FOREIGN KEY ("activeSnapshotId")
    REFERENCES "Snapshot"("id") ON DELETE SET NULL ON UPDATE CASCADE;
  ALTER TABLE "Snapshot" ADD CONSTRAINT "Snapshot_documentId_fkey" FOREIGN KEY ("documentId")
    REFERENCES "Document"("id") ON DELETE RESTRICT ON UPDATE CASCADE;
  ALTER TABLE "Update" ADD CONSTRAINT "Update_snapshotId_fkey" FOREIGN KEY ("snapshotId")
    REFERENCES "Snapshot"("id") ON DELETE RESTRICT ON UPDATE CASCADE;`

const pool = new pg.Pool({ connectionString: process.argv[2] ?? "" })
await pool.query(MIGRATION)

const inTransaction = async <A>(work: (client: pg.PoolClient) => Promise<A>): Promise<A> => {
  const client = await pool.connect()
  try {
    await client.query("BEGIN ISOLATION LEVEL SERIALIZABLE")
    const result = await work(client)
    await client.query("COMMIT")
    return result
  } catch (error) {
    await client.query("ROLLBACK")
    throw error
  } finally {
    client.release()
  }
}

const createSnapshot = ({ snapshot }: { readonly snapshot: Snapshot }) =>
  inTransaction(async (client) => {
    const { docId, parentSnapshotId, parentSnapshotProof, parentSnapshotUpdateClocks, snapshotId } = snapshot.publicData
    const { rows } = await client.query(
      `SELECT s.id, s.clocks FROM "Document" d JOIN "Snapshot" s ON s.id = d."activeSnapshotId" WHERE d.id = $1`,
      [docId]
    )
    const [active] = rows
    if (active !== undefined) {
      if (parentSnapshotId !== active.id) throw new SecsyncSnapshotBasedOnOutdatedSnapshotError("out of date")
      if (!compareUpdateClocks(active.clocks, parentSnapshotUpdateClocks).equal) {
        throw new SecsyncSnapshotMissesUpdatesError("misses updates")
      }
    }
    await client.query(
      `INSERT INTO "Snapshot" (id, "latestVersion", data, "ciphertextHash", "documentId", clocks,
        "parentSnapshotProof", "parentSnapshotUpdateClocks") VALUES ($1, 0, $2, $3, $4, '{}', $5, $6)`,
      [
        ...[snapshotId, JSON.stringify(snapshot), hash(snapshot.ciphertext, sodium), docId],
        ...[parentSnapshotProof, JSON.stringify(parentSnapshotUpdateClocks)]
      ]
    )
    await client.query(`UPDATE "Document" SET "activeSnapshotId" = $1 WHERE id = $2`, [snapshotId, docId])
    return snapshot
  })

const createUpdate = ({ update }: { readonly update: Update }) =>
  inTransaction(async (client) => {
    const { clock, pubKey, refSnapshotId } = update.publicData
    const { rows } = await client.query(
      `SELECT s."latestVersion", s.clocks, d."activeSnapshotId" FROM "Snapshot" s
        JOIN "Document" d ON d.id = s."documentId" WHERE s.id = $1`,
      [refSnapshotId]
    )
    const [snapshot] = rows
    if (snapshot?.activeSnapshotId !== refSnapshotId) throw new Error("Update referencing an out of date snapshot.")
    if (clock !== (snapshot.clocks[pubKey] ?? -1) + 1) throw new Error("Update clock incorrect.")
    const version = snapshot.latestVersion + 1
    const clocks = JSON.stringify({ ...snapshot.clocks, [pubKey]: clock })
    await client.query(`UPDATE "Snapshot" SET "latestVersion" = $1, clocks = $2 WHERE id = $3`, [
      ...[version, clocks, refSnapshotId]
    ])
    await client.query(
      `INSERT INTO "Update" (id, data, version, "snapshotId", clock, "pubKey") VALUES ($1, $2, $3, $4, $5, $6)`,
      [`${refSnapshotId}-${pubKey}-${clock}`, JSON.stringify(update), version, refSnapshotId, clock, pubKey]
    )
    return update
  })

const getDocument = async ({ documentId }: { readonly documentId: string }) => {
  const { rows } = await pool.query(
    `SELECT s.id, s.data FROM "Document" d LEFT JOIN "Snapshot" s ON s.id = d."activeSnapshotId" WHERE d.id = $1`,
    [documentId]
  )
  const [row] = rows
  if (row === undefined) await pool.query(`INSERT INTO "Document" (id) VALUES ($1)`, [documentId])
  if (row?.id == null) return { updates: [], snapshotProofChain: [] }
  const updates = await pool.query(`SELECT data FROM "Update" WHERE "snapshotId" = $1 ORDER BY version`, [row.id])
  return {
    snapshot: JSON.parse(row.data) as Snapshot,
    updates: updates.rows.map(({ data }) => JSON.parse(data) as Update),
    snapshotProofChain: []
  }
}

const sockets = new WebSocketServer({ noServer: true })
sockets.on(
  "connection",
  createWebSocketConnection({
    ...{ getDocument, createSnapshot, createUpdate },
    hasAccess: async () => true,
    hasBroadcastAccess: async ({ websocketSessionKeys }) => websocketSessionKeys.map(() => true),
    logging: "off"
  })
)
const server = createServer()
server.on("upgrade", (request, socket, head) => {
  sockets.handleUpgrade(request, socket, head, (ws) => sockets.emit("connection", ws, request))
})
server.listen(0, "127.0.0.1", () => process.stdout.write(`ws://127.0.0.1:${(server.address() as AddressInfo).port}\n`))
