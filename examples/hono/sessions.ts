// A Hono app with sessions and rights of its own, which are all that Sealog asks: it has no token of Sealog's. Users share
// Secsync documents one by one, and Verdant libraries as a whole. Set SESSION_SECRET, then: node examples/hono/sessions.ts
import type { Server } from "node:http"
import { type HttpBindings, serve } from "@hono/node-server"
import { RESPONSE_ALREADY_SENT } from "@hono/node-server/utils/response"
import { createSealog, nodeServerOptions } from "@sealog/server/node"
import { sqliteStorage } from "@sealog/storage-sqlite"
import { type Context, Hono } from "hono"
import { getSignedCookie, setSignedCookie } from "hono/cookie"
import { parseSigned } from "hono/utils/cookie"

const port = Number(process.env["PORT"] ?? 4000)
const secret = process.env["SESSION_SECRET"] ?? "a secret for development"

// ---- the app's own data, which a real app keeps in its database

/** The user of each session. */
const sessions = new Map<string, string>()
/** The users who may use a Secsync document or a Verdant library. */
const members = new Map<string, Set<string>>()
const isMember = (name: string, userId: string) => members.get(name)?.has(userId) === true

/** Secsync documents are all in one library. */
const DOCUMENTS = "documents"

// ---- Sealog

const sealog = await createSealog({
  storage: sqliteStorage({ filename: process.env["DATABASE"] ?? "data/sealog.db" }),
  // The session is in a cookie. A Verdant client names its library, and a Secsync client names its document.
  access: async ({ headers, libraryId = DOCUMENTS }) => {
    const { session } = await parseSigned(String(headers["cookie"] ?? ""), secret, "session")
    const userId = sessions.get(session || "")
    if (!session || userId === undefined) return undefined
    if (libraryId !== DOCUMENTS && !isMember(libraryId, userId)) return undefined
    return { userId, libraryId, sessionId: session }
  },
  // Asked for each action, and again for connections when `accessChanged` is called.
  allows: ({ libraryId, userId }, action) => {
    if (libraryId !== DOCUMENTS) return isMember(libraryId, userId)
    return "documentId" in action && action.documentId !== undefined && isMember(action.documentId, userId)
  }
})

// ---- the app

type Env = { Bindings: HttpBindings }

const verdant = ({ env }: Context<Env>) => {
  sealog.handlers.request(env.incoming, env.outgoing)
  return RESPONSE_ALREADY_SENT
}

const app = new Hono<Env>()
  .all("/verdant", verdant)
  .all("/verdant/*", verdant)
  .post("/login/:user", async (ctx) => {
    // A real app checks a password here.
    const session = crypto.randomUUID()
    sessions.set(session, ctx.req.param("user"))
    await setSignedCookie(ctx, "session", session, secret, { httpOnly: true, sameSite: "Lax" })
    return ctx.json({ ok: true })
  })
  .post("/logout", async (ctx) => {
    const session = await getSignedCookie(ctx, secret, "session")
    if (session) {
      sessions.delete(session)
      // Closes the connections of this session.
      await sealog.revoke({ tokenId: session })
    }
    return ctx.json({ ok: true })
  })
  .put("/members/:name/:user", (ctx) => {
    const { name, user } = ctx.req.param()
    members.set(name, (members.get(name) ?? new Set()).add(user))
    return ctx.json({ ok: true })
  })
  .delete("/members/:name/:user", async (ctx) => {
    const { name, user } = ctx.req.param()
    members.get(name)?.delete(user)
    // Change the data first; then the connections that it concerns are asked again.
    await sealog.accessChanged({ userId: user })
    return ctx.json({ ok: true })
  })
  // Verdant's client reads from this where the server is. It is no proof of anything: the session is.
  .get("/auth/:library", async (ctx) => {
    const userId = sessions.get((await getSignedCookie(ctx, secret, "session")) || "")
    if (userId === undefined) return ctx.json({ error: "Log in first" }, 401)
    const endpoint = `${new URL(ctx.req.url).origin}/verdant`
    return ctx.json({ accessToken: await sealog.mint({ libraryId: ctx.req.param("library"), userId, endpoint }) })
  })

const server = serve({ fetch: app.fetch, port, serverOptions: nodeServerOptions }, () => {
  console.info(`Listening on http://localhost:${port}`)
}) as Server
server.addListener("upgrade", sealog.handlers.upgrade)

process.once("SIGTERM", async () => {
  server.close()
  await sealog.close()
})
