/** examples/hono/sessions.ts: an app's own sessions and rights, which change while real clients are connected. */
import { afterAll, assert, describe, it } from "@effect/vitest"
import { LibraryId } from "@sealog/server/domain/Ids"
import { Effect } from "effect"
import { WebSocket } from "ws"
import { connectClient, untilAll } from "../support/secsync/SecsyncClient.ts"
import { startExample } from "../support/servers/ExampleProcess.ts"
import { randomName } from "../support/servers/TestServer.ts"
import type { Library } from "../support/verdant/Library.ts"
import { openClient } from "../support/verdant/VerdantClient.ts"

/** The cookies of each browser, by the text that its Secsync client sends as a token, which the app does not read. */
const cookies = new Map<string, string>()

const { WebSocket: original } = globalThis
globalThis.WebSocket = class extends WebSocket {
  constructor(url: string) {
    super(url, { headers: { cookie: cookies.get(new URL(url).searchParams.get("sessionKey") ?? "") ?? "" } })
    this.on("error", () => {})
  }
} as unknown as typeof globalThis.WebSocket
afterAll(() => {
  globalThis.WebSocket = original
})

const start = Effect.gen(function* () {
  const { url } = yield* startExample("examples/hono/sessions.ts")
  const call = (method: string, path: string, cookie = "") =>
    Effect.promise(() => fetch(`${url}${path}`, { method, headers: { cookie } }))
  const login = (user: string) =>
    Effect.map(call("POST", `/login/${user}`), (response) => {
      const cookie = response.headers.get("set-cookie")?.split(";")[0] ?? ""
      cookies.set(user, cookie)
      return cookie
    })
  return { url, socketUrl: url.replace("http", "ws"), call, login }
})

describe("an app with Hono's sessions and no token of Sealog's", () => {
  it.live("lets the members of a document use it, and closes the connection of a member who is removed", () =>
    Effect.gen(function* () {
      const { call, login, socketUrl: url } = yield* start
      const documentId = randomName()
      for (const user of ["ada", "bob", "eve"]) yield* login(user)
      for (const user of ["ada", "bob"]) yield* call("PUT", `/members/${documentId}/${user}`)
      const ada = yield* connectClient({ url, documentId, token: "ada" })
      const bob = yield* connectClient({ url, documentId, token: "bob" })
      yield* ada.until("it is connected", () => ada.isSettled())
      ada.write("first")
      yield* untilAll([ada, bob], "both have it", (client) => client.list().includes("first"))
      const eve = yield* connectClient({ url, documentId, token: "eve" })
      yield* eve.until("a stranger is refused", () => eve.state() === "noAccess")
      const nobody = yield* connectClient({ url, documentId, token: "nobody" })
      yield* nobody.until("a client without a session is refused", () => nobody.state() === "noAccess")
      yield* call("DELETE", `/members/${documentId}/bob`)
      yield* bob.until("it is sent away", () => bob.state() === "noAccess")
      ada.write("a secret")
      yield* ada.until("it is stored", () => ada.isSettled())
      assert.deepStrictEqual(bob.list(), ["first"])
      yield* call("PUT", `/members/${documentId}/eve`)
      const again = yield* connectClient({ url, documentId, token: "eve" })
      yield* again.until("a new member has all", () => again.list().length === 2)
    })
  )

  it.live("ends the connections of a session that is logged out, and of no other session of its user", () =>
    Effect.gen(function* () {
      const { call, login, socketUrl: url } = yield* start
      const documentId = randomName()
      yield* call("PUT", `/members/${documentId}/ada`)
      const cookie = yield* login("ada")
      const phone = yield* connectClient({ url, documentId, token: "ada" })
      yield* phone.until("it is connected", () => phone.isSettled())
      yield* login("ada")
      const laptop = yield* connectClient({ url, documentId, token: "ada" })
      yield* laptop.until("it is connected", () => laptop.isSettled())
      yield* call("POST", "/logout", cookie)
      yield* phone.until("it is sent away", () => phone.state() === "noAccess")
      laptop.write("still here")
      yield* laptop.until("it is stored", () => laptop.isSettled())
    })
  )

  it.live.each(["realtime", "pull"] as const)(
    "lets the members of a library use it by %s, until they are removed",
    (transport) =>
      Effect.gen(function* () {
        const { call, login, url } = yield* start
        const id = LibraryId.make(randomName())
        const libraryOf = (cookie: string): Library => ({
          id,
          endpoint: `${url}/verdant`,
          token: () =>
            Effect.promise(async () => {
              const response = await fetch(`${url}/auth/${id}`, { headers: { cookie } })
              return ((await response.json()) as { readonly accessToken: string }).accessToken
            })
        })
        const [ofAda, ofBob] = [yield* login("ada"), yield* login("bob")]
        for (const user of ["ada", "bob"]) yield* call("PUT", `/members/${id}/${user}`)
        const options = { transport }
        const ada = yield* openClient({ ...options, library: libraryOf(ofAda), user: "ada", cookie: ofAda })
        const bob = yield* openClient({ ...options, library: libraryOf(ofBob), user: "bob", cookie: ofBob })
        yield* ada.put({ content: "for both" })
        yield* bob.until("it has the item", (items) => items.length === 1)
        yield* call("DELETE", `/members/${id}/bob`)
        yield* ada.put({ content: "for ada" })
        const carol = yield* openClient({ ...options, library: libraryOf(ofAda), user: "ada", cookie: ofAda })
        yield* carol.until("it is stored", (items) => items.length === 2)
        assert.lengthOf(yield* bob.documents(), 1)
        for (const client of [ada, bob, carol]) yield* client.goOffline
      })
  )

  it.live("refuses pages of other sites, with which a browser would send the cookies as well", () =>
    Effect.gen(function* () {
      const { call, login, socketUrl, url } = yield* start
      const cookie = yield* login("ada")
      yield* call("PUT", "/members/doc/ada")
      const statusFor = (origin: string) =>
        Effect.callback<number>((resume) => {
          const socket = new WebSocket(`${socketUrl}/doc?sessionKey=ada`, { headers: { cookie, origin } })
          socket.on("error", () => {})
          socket.on("open", () => {
            socket.terminate()
            resume(Effect.succeed(101))
          })
          socket.on("unexpected-response", (_, { statusCode = 0 }) => resume(Effect.succeed(statusCode)))
        })
      assert.strictEqual(yield* statusFor("https://evil.example.org"), 403)
      assert.strictEqual(yield* statusFor(url), 101)
    })
  )
})
