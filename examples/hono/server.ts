// Verdant's own example of a server, moved over: a Hono app in which Sealog lives. Set TOKEN_SECRET (32 bytes or more), then:
//   node examples/hono/server.ts
import type { Server } from "node:http"
import { type HttpBindings, serve } from "@hono/node-server"
import { RESPONSE_ALREADY_SENT } from "@hono/node-server/utils/response"
import { createSealog, fileDirectory, nodeServerOptions } from "@sealog/server/node"
import { sqliteStorage } from "@sealog/storage-sqlite"
import { type Context, Hono } from "hono"

const port = Number(process.env["PORT"] ?? 3242)
const directory = process.env["DATA"] ?? "data"

// the "core": the handlers for the server below, and the methods for the app, such as sealog.evict(libraryId)
const sealog = await createSealog({
  // one SQLite file holds all libraries
  storage: sqliteStorage({ filename: `${directory}/sealog.db` }),
  // implement .get to retrieve detailed profile information for sync users
  profiles: {
    get: async (userId) => {
      // values are cached for a minute
      return { id: userId }
    }
  },
  // required to validate sync access tokens
  access: { secret: process.env["TOKEN_SECRET"] ?? "" },
  // optional; enables file sync. Sealog serves the files itself, under /verdant/files, by signed links
  files: { store: fileDirectory(`${directory}/files`) },
  // optional logger
  log: (level, message, details) => console.log(level, message, details)
})

type Env = { Bindings: HttpBindings }

/** The part of the app that Sealog answers: polls and files of Verdant's clients. */
const verdant = ({ env }: Context<Env>) => {
  sealog.handlers.request(env.incoming, env.outgoing)
  return RESPONSE_ALREADY_SENT
}

// this is "your" app -- Sealog lives in it,
// but you control the API.
const app = new Hono<Env>()
  .all("/verdant", verdant)
  .all("/verdant/*", verdant)
  // issue sync tokens
  .get("/auth/:libraryId", async (ctx) => {
    // here you authenticate your user, authorize
    // their access to a particular library, and
    // issue a token.
    const libraryId = ctx.req.param("libraryId")

    const userId = ctx.req.query("userId") // your own session / auth logic here
    if (userId === undefined) return ctx.json({ error: "Who are you?" }, 401)

    // remember to check that the user is allowed to sync
    // to this library

    const accessToken = await sealog.mint({
      libraryId,
      userId,
      // this subpath matches the routes above
      endpoint: `${new URL(ctx.req.url).origin}/verdant`
    })
    return ctx.json({ accessToken })
  })
  // "you could expose an admin-only endpoint on your server which calls core.evict"
  .post("/admin/evict/:libraryId", async (ctx) => {
    // here you check that the user is an admin
    return ctx.json({ evicted: await sealog.evict(ctx.req.param("libraryId")) })
  })

const server = serve({ fetch: app.fetch, port, serverOptions: nodeServerOptions }, () => {
  console.info(`Listening on http://localhost:${port}`)
}) as Server

// handle websocket sync! must be done like this, not in the routes
server.addListener("upgrade", sealog.handlers.upgrade)

process.once("SIGTERM", async () => {
  server.close()
  await sealog.close()
})
