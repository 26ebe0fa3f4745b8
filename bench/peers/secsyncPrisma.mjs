/**
 * The peer `secsync-server` 0.5.0 from npm on Postgres through Prisma, as its own backends do it. Each call is an interactive
 * serializable transaction, tried up to five times when it loses against another.
 *
 *   node bench/peers/secsyncPrisma.mjs postgres://… — prints its URL.
 */
import { createServer } from "node:http"
import { PrismaPg } from "@prisma/adapter-pg"
import sodium from "libsodium-wrappers"
import pg from "pg"
import { hash, SecsyncSnapshotBasedOnOutdatedSnapshotError, SecsyncSnapshotMissesUpdatesError } from "secsync"
import { createWebSocketConnection } from "secsync-server"
import { WebSocketServer } from "ws"
import generated from "./prisma/generated/index.js"

await sodium.ready

/** The tables that `prisma migrate` makes from the schema; its engine is not available everywhere. */
const TABLES = `
  CREATE TABLE "Document" (id TEXT PRIMARY KEY, "activeSnapshotId" TEXT UNIQUE);
  CREATE TABLE "Snapshot" (
    id TEXT PRIMARY KEY, "latestVersion" INTEGER NOT NULL, data TEXT NOT NULL, "ciphertextHash" TEXT NOT NULL,
    "documentId" TEXT NOT NULL REFERENCES "Document" (id), "createdAt" TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    clocks JSONB NOT NULL, "parentSnapshotProof" TEXT NOT NULL, "parentSnapshotClocks" JSONB NOT NULL
  );
  CREATE TABLE "Update" (
    id TEXT PRIMARY KEY, version INTEGER NOT NULL, clock INTEGER NOT NULL, "pubKey" TEXT NOT NULL, data TEXT NOT NULL,
    "snapshotId" TEXT NOT NULL REFERENCES "Snapshot" (id),
    UNIQUE ("snapshotId", version), UNIQUE ("snapshotId", "pubKey", clock)
  );
  ALTER TABLE "Document" ADD FOREIGN KEY ("activeSnapshotId") REFERENCES "Snapshot" (id)`

const connectionString = process.argv[2] ?? ""
const client = new pg.Client({ connectionString })
await client.connect()
await client.query(TABLES)
await client.end()
const prisma = new generated.PrismaClient({ adapter: new PrismaPg({ connectionString }) })

const MAX_TRIES = 5
const LOST = "P2034"

const inTransaction = async (work) => {
  for (let tries = 1; ; tries++) {
    try {
      return await prisma.$transaction(work, { isolationLevel: "Serializable" })
    } catch (error) {
      if (error.code !== LOST || tries === MAX_TRIES) throw error
    }
  }
}

const createSnapshot = ({ snapshot }) =>
  inTransaction(async (db) => {
    const { docId, parentSnapshotId, parentSnapshotProof, parentSnapshotUpdateClocks, snapshotId } = snapshot.publicData
    const document = await db.document.findUniqueOrThrow({ where: { id: docId }, include: { activeSnapshot: true } })
    const active = document.activeSnapshot
    if (active !== null) {
      if (active.id !== parentSnapshotId) throw new SecsyncSnapshotBasedOnOutdatedSnapshotError("outdated")
      const claimed = Object.entries(parentSnapshotUpdateClocks)
      const isSame =
        claimed.length === Object.keys(active.clocks).length && claimed.every(([key, n]) => active.clocks[key] === n)
      if (!isSame) throw new SecsyncSnapshotMissesUpdatesError("misses updates")
    }
    const { additionalServerData: _, ...stored } = snapshot
    const created = await db.snapshot.create({
      data: {
        id: snapshotId,
        latestVersion: 0,
        data: JSON.stringify(stored),
        ciphertextHash: hash(snapshot.ciphertext, sodium),
        clocks: {},
        parentSnapshotProof,
        parentSnapshotClocks: parentSnapshotUpdateClocks,
        document: { connect: { id: docId } },
        activeOf: { connect: { id: docId } }
      }
    })
    return JSON.parse(created.data)
  })

const createUpdate = ({ update }) =>
  inTransaction(async (db) => {
    const { clock, pubKey, refSnapshotId } = update.publicData
    const snapshot = await db.snapshot.findUniqueOrThrow({
      where: { id: refSnapshotId },
      select: { latestVersion: true, clocks: true, document: { select: { activeSnapshotId: true } } }
    })
    if (snapshot.document.activeSnapshotId !== refSnapshotId) throw new Error("the snapshot is not active")
    if (clock !== (snapshot.clocks[pubKey] ?? -1) + 1) throw new Error(`the clock ${clock} is not the next`)
    const version = snapshot.latestVersion + 1
    const clocks = { ...snapshot.clocks, [pubKey]: clock }
    await db.snapshot.update({ where: { id: refSnapshotId }, data: { latestVersion: version, clocks } })
    const created = await db.update.create({
      data: {
        id: `${refSnapshotId}-${pubKey}-${clock}`,
        version,
        clock,
        pubKey,
        data: JSON.stringify(update),
        snapshot: { connect: { id: refSnapshotId } }
      }
    })
    return JSON.parse(created.data)
  })

const getDocument = ({ documentId, knownSnapshotId, knownSnapshotUpdateClocks, mode }) =>
  inTransaction(async (db) => {
    const document = await db.document.upsert({
      where: { id: documentId },
      create: { id: documentId },
      update: {},
      include: { activeSnapshot: true }
    })
    const active = document.activeSnapshot
    if (active === null) return { updates: [], snapshotProofChain: [] }
    const isKnown = knownSnapshotId === active.id
    const known = Object.entries(isKnown ? (knownSnapshotUpdateClocks ?? {}) : {})
    const last = await db.update.findFirst({
      where: { snapshotId: active.id, OR: known.map(([pubKey, clock]) => ({ pubKey, clock })) },
      orderBy: { version: "desc" }
    })
    const stored = await db.update.findMany({
      where: { snapshotId: active.id, version: { gt: known.length === 0 ? 0 : (last?.version ?? 0) } },
      orderBy: { version: "asc" }
    })
    const updates = stored.map(({ data }) => JSON.parse(data))
    if (mode === "delta" && isKnown) return { updates }
    const knownSnapshot =
      knownSnapshotId === undefined || isKnown
        ? null
        : await db.snapshot.findUnique({ where: { id: knownSnapshotId }, select: { createdAt: true } })
    const lineage =
      knownSnapshot === null
        ? []
        : await db.snapshot.findMany({
            where: { documentId, createdAt: { gt: knownSnapshot.createdAt } },
            orderBy: { createdAt: "asc" },
            select: { id: true, ciphertextHash: true, parentSnapshotProof: true }
          })
    return {
      snapshot: JSON.parse(active.data),
      updates,
      snapshotProofChain: lineage.map(({ ciphertextHash, id, parentSnapshotProof }) => ({
        snapshotId: id,
        snapshotCiphertextHash: ciphertextHash,
        parentSnapshotProof
      }))
    }
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
server.listen(0, "127.0.0.1", () => console.log(`ws://127.0.0.1:${server.address().port}`))
process.once("SIGTERM", () => process.exit(0))
