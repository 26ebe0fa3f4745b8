/**
 * The peer `@hocuspocus/server` with its Database extension on one SQLite file in WAL mode: it keeps documents in memory
 * and stores each two seconds after its last change. It sees what it serves, and checks no signatures.
 *
 *   node bench/peers/hocuspocus.mjs sqlite:FILE — prints its URL.
 */
import { DatabaseSync } from "node:sqlite"
import { Database } from "@hocuspocus/extension-database"
import { Server } from "@hocuspocus/server"

const db = new DatabaseSync((process.argv[2] ?? "").slice("sqlite:".length))
db.exec("PRAGMA journal_mode = WAL")
db.exec("CREATE TABLE documents (name TEXT PRIMARY KEY, data BLOB)")
const select = db.prepare("SELECT data FROM documents WHERE name = ?")
const upsert = db.prepare("INSERT INTO documents VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET data = excluded.data")

const server = new Server({
  port: 0,
  address: "127.0.0.1",
  quiet: true,
  stopOnSignals: false,
  extensions: [
    new Database({
      fetch: async ({ documentName }) => select.get(documentName)?.data ?? null,
      store: async ({ documentName, state }) => void upsert.run(documentName, state)
    })
  ]
})
await server.listen()
console.log(`ws://127.0.0.1:${server.address.port}`)
process.once("SIGTERM", () => process.exit(0))
