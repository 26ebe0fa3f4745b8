/** The devices of an office share an address. When it reaches its limits, the stores go on afterwards. */
import { connect, type Socket } from "node:net"
import { it } from "@effect/vitest"
import { Effect } from "effect"
import { startServer } from "../support/servers/TestServer.ts"
import { until } from "../support/until.ts"
import { libraryOn } from "../support/verdant/Library.ts"
import { openClient } from "../support/verdant/VerdantClient.ts"

/** Has a request in progress until the scope closes: its body does not end. Tries again while the server refuses it. */
const holdRequest = (port: number, token: string) =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const head = ["POST /verdant HTTP/1.1", "Host: localhost", `Authorization: Bearer ${token}`, "Content-Length: 9"]
      const held: { socket?: Socket; isOver: boolean } = { isOver: false }
      const open = () => {
        held.socket = connect(port, "127.0.0.1").on("error", () => {})
        held.socket.on("close", () => (held.isOver ? undefined : open())).resume()
        held.socket.write(`${head.join("\r\n")}\r\n\r\n`)
      }
      open()
      return held
    }),
    (held) =>
      Effect.sync(() => {
        held.isOver = true
        held.socket?.destroy()
      })
  )

it.live.each([5, 3] as const)("a store of version %s that polls comes back after 429, with its changes", (version) =>
  Effect.gen(function* () {
    const server = yield* startServer({ limits: { maxRequestsPerAddress: 1 } })
    const library = libraryOn(server)
    const client = yield* openClient({ user: "ada", library, transport: "pull", version })
    yield* client.put({ content: "before" })
    yield* until("it is settled", client.isSettled)
    const refused = () => client.network.statuses.filter((status) => status === 429).length
    yield* Effect.scoped(
      Effect.gen(function* () {
        yield* holdRequest(server.port, yield* library.token({ userId: "grace" }))
        yield* client.put({ content: "while the address is full" })
        yield* until("its polls are refused again and again", () => refused() > 3)
      })
    )
    yield* until("it is settled", client.isSettled)
  })
)
