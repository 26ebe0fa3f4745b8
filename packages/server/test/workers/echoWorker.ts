/**
 * A worker whose server answers each request with the length and the digest of its body, the client's port, and its own number.
 * An upgrade is answered with all that follows it.
 */
import { createHash } from "node:crypto"
import { createServer } from "node:http"
import { ConnectionSource } from "@sealog/server/edge/ConnectionSource"
import { joinParent } from "@sealog/server/workers"
import { Effect } from "effect"

const server = createServer((request, response) => {
  const hash = createHash("sha256")
  let length = 0
  request.on("data", (chunk: Buffer) => {
    hash.update(chunk)
    length += chunk.length
  })
  request.on("end", () => {
    const { remotePort } = request.socket
    response.end(JSON.stringify({ worker: process.argv[2], remotePort, length, digest: hash.digest("hex") }))
  })
})
server.on("upgrade", (_, socket, head) => {
  socket.write(`HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nX-Worker: ${process.argv[2]}\r\n\r\n`)
  socket.write(head)
  socket.pipe(socket)
})

const { layer, stopped } = joinParent()
const serving = Effect.gen(function* () {
  const take = yield* ConnectionSource
  yield* take!(server, {
    health: Effect.succeed({ status: "ok" }),
    connections: { list: () => [], disconnect: () => 0 }
  })
  yield* stopped
})
await Effect.runPromise(serving.pipe(Effect.scoped, Effect.provide(layer(0))))
// Upgraded connections would keep it.
process.exit()
