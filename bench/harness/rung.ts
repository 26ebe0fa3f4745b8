/**
 * A rung of the ladder: a server that has no rules, rooms, proofs or rights, and answers each update with its acknowledgement and
 * a copy for each reader. It shows what the parts cost that no such server can leave out.
 *
 *   node bench/harness/rung.ts sqlite:FILE | postgres://… "ws" | "ws, insert" | "ws, insert, verify" — prints its URL.
 */
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import { DatabaseSync } from "node:sqlite"
import pg from "pg"
import { type WebSocket, WebSocketServer } from "ws"
import { makeDecoder } from "#server/protocols/secsync/Wire"
import { makeVerifierPool } from "#server/signatures/VerifierPool"

const [database = "", parts = ""] = process.argv.slice(2)

interface Update {
  readonly author: WebSocket
  readonly document: Document
  readonly text: string
  readonly snapshotId: string
  readonly clock: number
}

interface Document {
  readonly number: number
  readonly clients: Set<WebSocket>
}

const acknowledge = ({ author, clock, document, snapshotId, text }: Update): void => {
  author.send(JSON.stringify({ type: "update-saved", snapshotId, clock }))
  const frame = `{"type":"update",${text.slice(1)}`
  for (const client of document.clients) if (client !== author) client.send(frame)
}

type Insert = (updates: ReadonlyArray<Update>) => Promise<void> | void

/** Each batch is one durable transaction, with SQLite's and Postgres' default durability of the bench. */
const openDatabase = async (): Promise<Insert> => {
  if (database.startsWith("sqlite:")) {
    const file = new DatabaseSync(database.slice("sqlite:".length))
    file.exec(`PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;
      CREATE TABLE events (position INTEGER PRIMARY KEY, document INTEGER, clock INTEGER, payload TEXT)`)
    const insert = file.prepare("INSERT INTO events (document, clock, payload) VALUES (?, ?, ?)")
    return (updates) => {
      file.exec("BEGIN IMMEDIATE")
      for (const { clock, document, text } of updates) insert.run(document.number, clock, text)
      file.exec("COMMIT")
    }
  }
  const client = new pg.Client({ connectionString: database })
  await client.connect()
  await client.query("CREATE TABLE events (position bigserial PRIMARY KEY, document int, clock int, payload text)")
  return async (updates) => {
    const values = [
      updates.map(({ document }) => document.number),
      updates.map(({ clock }) => clock),
      updates.map(({ text }) => text)
    ]
    const text = "INSERT INTO events (document, clock, payload) SELECT * FROM unnest($1::int[], $2::int[], $3::text[])"
    await client.query({ name: "insert", text, values })
  }
}

/** Inserts all updates that have come while the batch before was inserted. */
const batched = (insert: Insert): ((update: Update) => void) => {
  let waiting: Array<Update> = []
  let isBusy = false
  const proceed = async () => {
    const batch = waiting
    waiting = []
    await insert(batch)
    for (const update of batch) acknowledge(update)
    isBusy = waiting.length > 0
    if (isBusy) setImmediate(proceed)
  }
  return (update) => {
    waiting.push(update)
    if (isBusy) return
    isBusy = true
    setImmediate(proceed)
  }
}

const store = parts.includes("insert") ? batched(await openDatabase()) : acknowledge
const pool = parts.includes("verify") ? makeVerifierPool(1) : undefined
const decode = makeDecoder()
const documents = new Map<string, Document>()

const receive = (author: WebSocket, document: Document, text: string): void => {
  const message = decode(text)
  if (message._tag === "Snapshot") {
    author.send(JSON.stringify({ type: "snapshot-saved", snapshotId: message.snapshotId }))
  }
  if (message._tag !== "Update") return
  const update = { author, document, text, snapshotId: message.refSnapshotId, clock: message.clock }
  if (pool === undefined) return store(update)
  pool.verify([message.signed], ([isGenuine]) => {
    if (isGenuine) store(update)
  })
}

const server = createServer()
const sockets = new WebSocketServer({ noServer: true, clientTracking: false, perMessageDeflate: false })
server.on("upgrade", (request, socket, head) =>
  sockets.handleUpgrade(request, socket, head, (client) => {
    const path = request.url?.split("?")[0] ?? ""
    const document = documents.get(path) ?? { number: documents.size, clients: new Set() }
    documents.set(path, document)
    document.clients.add(client)
    client.send('{"type":"document","updates":[]}')
    client.on("message", (data) => receive(client, document, String(data)))
    client.on("close", () => document.clients.delete(client))
  })
)
server.listen(0, "127.0.0.1", () => console.log(`ws://127.0.0.1:${(server.address() as AddressInfo).port}`))
process.on("SIGTERM", () => process.exit(0))
