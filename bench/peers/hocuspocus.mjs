/**
 * The peer `@hocuspocus/server` with its SQLite extension. It keeps documents in memory, and stores each two seconds after
 * its last change. It sees the contents, and verifies no signatures.
 *
 *   node bench/peers/hocuspocus.mjs sqlite:FILE — prints its URL.
 */
import { SQLite } from "@hocuspocus/extension-sqlite"
import { Server } from "@hocuspocus/server"

const server = new Server({
  port: 0,
  address: "127.0.0.1",
  quiet: true,
  stopOnSignals: false,
  extensions: [new SQLite({ database: (process.argv[2] ?? "").slice("sqlite:".length) })]
})
await server.listen()
console.log(`ws://127.0.0.1:${server.address.port}`)
process.once("SIGTERM", () => process.exit(0))
