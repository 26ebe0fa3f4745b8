// The server of Secsync's setup guide, moved over: an Express app in which Sealog lives. There is no database to set up, and
// there are no functions to write for it. Start with: node examples/express/server.ts
import { createServer } from "node:http"
import { createSealog, nodeServerOptions } from "@sealog/server/node"
import { sqliteStorage } from "@sealog/storage-sqlite"
import cors from "cors"
import express from "express"

async function main() {
  const allowedOrigin = "*"
  const corsOptions = { credentials: true, origin: allowedOrigin }

  const app = express()
  app.use(cors(corsOptions))

  const sealog = await createSealog({
    // in place of getDocument, createSnapshot and createUpdate
    storage: sqliteStorage({ filename: process.env["DATABASE"] ?? "data/sealog.db" }),
    // a client's user and library, by its URL and headers: this example knows nobody, so everybody shares one library
    access: async () => ({ userId: "anonymous", libraryId: "documents" }),
    // hasAccess, and with the action "Receive" hasBroadcastAccess
    allows: async (_grant, _action) => true,
    log: (level, message, details) => {
      if (level === "error") console.error(message, details)
    }
  })
  app.use((request, response, next) => void sealog.handlers.request(request, response, next))

  const server = createServer(nodeServerOptions, app)

  server.on("upgrade", sealog.handlers.upgrade)

  const port = process.env["PORT"] ? parseInt(process.env["PORT"], 10) : 4000
  server.listen(port, () => {
    console.log(`App ready at http://localhost:${port}/`)
    console.log(`Websocket service ready at ws://localhost:${port}`)
  })

  process.once("SIGTERM", async () => {
    server.close()
    await sealog.close()
  })
}

main()
