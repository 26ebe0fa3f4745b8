/** A large message is read only while there is room for it, so that messages which never end take a bounded memory. */
import type { Socket } from "node:net"
import { assert, describe, it } from "@effect/vitest"
import type { ProtocolSession } from "@sealog/server/protocols/ProtocolSession"
import { Effect } from "effect"
import type { WebSocket } from "ws"
import { socketPair } from "#test-support/network/SocketPair"
import { frameHeader } from "#test-support/network/UpgradeByHand"
import { until } from "#test-support/until"
import { ReceiveBudget, UNRESERVED_BYTES } from "../../../src/edge/ReceiveBudget.ts"
import { ClientSocket, type ClientSocketServices } from "../../../src/edge/ws/ClientSocket.ts"
import { makeServices } from "../services.ts"

const MB = 1024 * 1024
/** Bytes that may be read for a message without room: of the message itself, and the chunk or two in which it began. */
const MOST_UNREAD = UNRESERVED_BYTES + 3 * 64 * 1024

/** The TCP socket below a WebSocket. */
const socketBelow = (ws: WebSocket): Socket => (ws as unknown as { readonly _socket: Socket })._socket

/** A connection, and the lengths of the messages that its session received. */
const connect = Effect.fnUntraced(function* (services: ClientSocketServices) {
  const { client, serving, socket } = yield* socketPair
  const served = new ClientSocket(serving, socket, services)
  const received: Array<number> = []
  let code: number | undefined
  serving.on("message", (data, isBinary) => served.receive(data, isBinary)).on("close", () => served.closed(1006))
  serving.on("error", () => {})
  client
    .on("error", () => {})
    .on("close", (closedWith) => {
      code = closedWith
    })
  const receive: ProtocolSession["receive"] = (texts, done) => {
    received.push(...texts.map(({ length }) => length))
    done(undefined)
  }
  return {
    ...{ client, served, received, serving, socket },
    clientSocket: socketBelow(client),
    code: () => code,
    admit: (user: string) =>
      served.serve({ user, session: { receive, answered: Effect.void, brought: Effect.succeed(false) } }, Effect.never)
  }
})

/** Begins a message of so many bytes that never ends, and sends all but one of them. */
const sendWithoutEnd = (socket: Socket, bytes: number): void => {
  socket.write(frameHeader(bytes))
  socket.write(Buffer.alloc(bytes - 1, "x"))
}

describe("messages that never end", () => {
  it.live("are read as far as there is room, and small messages of others are handled", () =>
    Effect.gen(function* () {
      const receiveBudget = new ReceiveBudget(64 * MB)
      const services = makeServices({ receiveBudget })
      const clients = yield* Effect.forEach(Array.from({ length: 10 }), () => connect(services))
      for (const [i, { admit, clientSocket }] of clients.entries()) {
        admit(`user ${i}`)
        sendWithoutEnd(clientSocket, 31 * MB)
      }
      yield* until(
        "two messages are read, and the others are not",
        () => clients.filter(({ serving }) => serving.isPaused).length === 8 && countRead() === 2
      )
      function countRead() {
        return clients.filter(({ socket }) => socket.bytesRead > 31 * MB - 1).length
      }
      for (const { serving, socket } of clients) if (serving.isPaused) assert.isAtMost(socket.bytesRead, MOST_UNREAD)
      assert.isAtMost(receiveBudget.reserved, 64 * MB)
      const other = yield* connect(services)
      other.admit("ada")
      other.client.send("x".repeat(1000))
      yield* until("the small message is handled", () => other.received.length === 1)

      for (const { clientSocket, serving } of clients) if (!serving.isPaused) clientSocket.destroy()
      yield* until("two more messages are read", () => countRead() === 4)
    })
  )

  it.live("lose their connection with 1013 while others wait, and the others are read", () =>
    Effect.gen(function* () {
      const receiveBudget = new ReceiveBudget(64 * MB)
      const services = makeServices({ receiveBudget })
      const hostile = yield* connect(services)
      hostile.admit("mallory")
      sendWithoutEnd(hostile.clientSocket, 60 * MB)
      yield* until("all but the end is read", () => hostile.socket.bytesRead > 60 * MB - 1)
      for (let i = 0; i < 3; i++) receiveBudget.lookAtProgress()
      assert.isUndefined(hostile.code())
      const honest = yield* connect(services)
      honest.admit("ada")
      honest.client.send("x".repeat(20 * MB))
      yield* until("the honest message waits", () => honest.serving.isPaused)
      assert.isEmpty(honest.received)
      // A client that the server does not read is not taken for dead.
      for (let i = 0; i < 3; i++) honest.served.ping()
      for (let i = 0; i < 2; i++) receiveBudget.lookAtProgress()
      yield* until("the hostile client is closed", () => hostile.code() === 1013)
      yield* until("the honest message is handled", () => honest.received.length === 1)
      yield* until("all room is given back", () => receiveBudget.reserved === 0)
    })
  )
})

describe("large messages of twenty clients at once", () => {
  it.live("are all handled, one after the other", () =>
    Effect.gen(function* () {
      const receiveBudget = new ReceiveBudget(64 * MB)
      const services = makeServices({ receiveBudget })
      const clients = yield* Effect.forEach(Array.from({ length: 20 }), () => connect(services))
      let most = 0
      for (const [i, { admit, client, serving }] of clients.entries()) {
        admit(`user ${i % 3}`)
        serving.on("message", () => {
          most = Math.max(most, receiveBudget.reserved)
        })
        client.send("x".repeat(20 * MB))
      }
      yield* until("every message is handled", () => clients.every(({ received }) => received.length === 1))
      assert.isAtMost(most, 64 * MB)
      yield* until("all room is given back", () => receiveBudget.reserved === 0)
    })
  )
})

describe("a large message in fragments", () => {
  it.live("takes the room of the largest message, since its length is not known", () =>
    Effect.gen(function* () {
      const receiveBudget = new ReceiveBudget(64 * MB)
      const { admit, client, received } = yield* connect(makeServices({ receiveBudget, maxFrameBytes: 32 * MB }))
      admit("ada")
      client.send("x".repeat(MB), { fin: false })
      yield* until("room is reserved", () => receiveBudget.reserved === 32 * MB)
      client.send("x".repeat(MB))
      yield* until("the message is handled", () => received[0] === 2 * MB)
      yield* until("all room is given back", () => receiveBudget.reserved === 0)
    })
  )
})

describe("a large message of a client that is not admitted yet", () => {
  it.live("is not read before", () =>
    Effect.gen(function* () {
      const { admit, client, received, serving, socket } = yield* connect(makeServices())
      client.send("x".repeat(10 * MB))
      yield* until("it waits", () => serving.isPaused)
      assert.isAtMost(socket.bytesRead, MOST_UNREAD)
      admit("ada")
      yield* until("it is handled", () => received.length === 1)
    })
  )
})

describe("a message whose every byte comes alone", () => {
  it.live("closes the connection with 1008 before the pieces take much memory", () =>
    Effect.gen(function* () {
      const { admit, clientSocket, code, socket } = yield* connect(makeServices())
      admit("mallory")
      clientSocket.setNoDelay()
      clientSocket.write(frameHeader(1000))
      for (let sent = 0; sent < 200 && code() === undefined; sent++) {
        const before = socket.bytesRead
        clientSocket.write("x")
        yield* until("the byte is read", () => socket.bytesRead > before || socket.destroyed || code() !== undefined)
      }
      yield* until("the connection is closed", () => code() !== undefined)
      assert.strictEqual(code(), 1008)
    })
  )
})

describe("answers to pings between messages", () => {
  it.live("never count", () =>
    Effect.gen(function* () {
      const receiveBudget = new ReceiveBudget(64 * MB)
      const { admit, client, received, socket } = yield* connect(makeServices({ receiveBudget }))
      admit("ada")
      const before = socket.bytesRead
      for (let i = 0; i < 20_000; i++) client.pong()
      yield* until("they are read", () => socket.bytesRead >= before + 120_000)
      client.send("x")
      yield* until("a message is handled", () => received.length === 1)
      assert.strictEqual(receiveBudget.reserved, 0)
    })
  )
})
