// Gives a token to a user of your own app, as the `authEndpoint` of a Verdant client, or before a Secsync client connects:
//   TOKEN_SECRET=… SYNC_URL=https://sync.example.org node examples/token-endpoint.ts
import { createServer, type IncomingMessage } from "node:http"
import { SignJWT } from "jose"

const secret = new TextEncoder().encode(process.env["TOKEN_SECRET"])
const syncUrl = process.env["SYNC_URL"] ?? "http://localhost:4000"

/** The user of the app's own session. A real app looks a cookie up in its database; this example has one user. */
const userOf = (request: IncomingMessage): string | undefined =>
  request.headers.cookie === "session=of-ada" ? "ada" : undefined

/** Whether a user is a member of a library: the app's own decision. */
const isMember = (userId: string, libraryId: string): boolean => userId === "ada" && libraryId === "notes"

const server = createServer(async (request, response) => {
  const libraryId = new URL(request.url ?? "/", "http://localhost").searchParams.get("library") ?? ""
  const userId = userOf(request)
  if (userId === undefined || !isMember(userId, libraryId)) return response.writeHead(403).end()
  const accessToken = await new SignJWT({ lib: libraryId, url: `${syncUrl}/verdant`, type: 0 })
    .setProtectedHeader({ alg: "HS256" })
    .setSubject(userId)
    .setIssuedAt()
    .setExpirationTime("1h")
    .sign(secret)
  response.setHeader("content-type", "application/json").end(JSON.stringify({ accessToken }))
})
const port = Number(process.env["PORT"] ?? 3000)
server.listen(port, () => console.log(`Tokens are at http://localhost:${port}/?library=notes`))
process.once("SIGTERM", () => server.close())
