/** An Express app that serves Sealog under a path, before its body parser, and routes of its own beside it. */

import { createServer } from "node:http"
import { createSealog, memoryStorage, nodeServerOptions } from "@sealog/server/node"
import express from "express"

const sealog = await createSealog({
  ...{ path: "/sync", storage: memoryStorage() },
  access: { secret: process.env["TOKEN_SECRET"] ?? "" }
})
const app = express()
app.use("/sync", (request, response, next) => void sealog.handlers.request(request, response, next))
app.use(express.json())
app.get(["/own", "/sync/own"], (_, response) => void response.send("the app's"))
const server = createServer(nodeServerOptions, app).on("upgrade", sealog.handlers.upgrade)
server.listen(process.env["PORT"], () => console.log(`http://localhost:${process.env["PORT"]}`))
