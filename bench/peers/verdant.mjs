/**
 * The peer `@verdant-web/server` 2.1.2 from npm, unchanged, on one SQLite file. Its table keeps every operation of a library
 * until all replicas have it.
 *
 *   node bench/peers/verdant.mjs sqlite:FILE — prints its URL.
 */
import { createServer } from "node:http"
import { Server } from "@verdant-web/server"

const httpServer = createServer()
const server = new Server({
  httpServer,
  databaseFile: (process.argv[2] ?? "").slice("sqlite:".length),
  tokenSecret: process.env.TOKEN_SECRET
})
server.on("error", (error) => console.error(error))
httpServer.listen(0, "127.0.0.1", () => console.log(`ws://127.0.0.1:${httpServer.address().port}`))
process.once("SIGTERM", () => process.exit(0))
