/** Clients on slow lines are not closed for being slow, as long as they make progress. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { socketPair } from "#test-support/network/SocketPair"
import { askToUpgrade, frameHeader } from "#test-support/network/UpgradeByHand"
import { startDocument } from "#test-support/secsync/startDocument"
import { startMemoryServer } from "#test-support/servers/TestServer"
import { until } from "#test-support/until"
import { FrameQueue } from "../../../src/edge/ws/FrameQueue.ts"
import { SocketConnection } from "../../../src/edge/ws/SocketConnection.ts"
import { SocketReading } from "../../../src/edge/ws/SocketReading.ts"
import { SharedBytes } from "../../../src/internal/SharedBytes.ts"
import { textFrame } from "../../../src/protocols/Frame.ts"
import { snapshotMessage } from "../../../src/testing/SealedMessages.ts"
import { makeServices } from "../services.ts"

const MB = 1024 * 1024
/** Bytes that the kernel does not buffer for a client that does not read. */
const LARGE = 32 * MB
/** A ping without content (RFC 6455 section 5.5.2). */
const PING = Buffer.from([0x89, 0])

const frameOf = (length: number) => textFrame(["x".repeat(length)])

/** A client that does not read yet, and the lengths of the frames that it receives. */
const slowClient = Effect.gen(function* () {
  const { client, serving, socket } = yield* socketPair
  const received: Array<number> = []
  client.on("message", (data: Buffer) => received.push(data.length))
  client.pause()
  const owner = { handle: () => Effect.void, run: () => {}, ended: () => {} }
  const frames = new FrameQueue(serving, owner, new SocketReading(serving), new SharedBytes(MB))
  return { client, received, connection: new SocketConnection(serving, socket, frames, makeServices()) }
})

describe("a client that takes a large frame slowly", () => {
  it.live("is sent the frames that follow, and only those count against its bound", () =>
    Effect.gen(function* () {
      const { client, connection, received } = yield* slowClient
      const lengths = [10, LARGE, 20, MB / 2, 30]
      for (const length of lengths) {
        connection.send(frameOf(length))
        yield* Effect.yieldNow
      }
      assert.isFalse(connection.isSentAway())
      client.resume()
      yield* until("every frame is received", () => received.length === lengths.length)
      assert.deepStrictEqual(received, lengths)
      client.pause()
      for (const length of [LARGE, MB / 2]) connection.send(frameOf(length))
      assert.isFalse(connection.isSentAway())
      connection.send(frameOf(MB))
      assert.isTrue(connection.isSentAway())
    })
  )

  it.live("is closed at a second large frame before it has taken the first", () =>
    Effect.gen(function* () {
      const { connection } = yield* slowClient
      connection.send(frameOf(LARGE))
      connection.send(frameOf(LARGE))
      assert.isTrue(connection.isSentAway())
    })
  )
})

describe("the heartbeat", () => {
  const limits = { heartbeat: "1 second", maxFrameBytes: LARGE + MB } as const

  it.live("keeps a client that takes long to send a frame, and drops it once it does nothing", () =>
    Effect.gen(function* () {
      const { options } = yield* startDocument(yield* startMemoryServer({ limits }))
      const url = new URL(options.url)
      const socket = yield* askToUpgrade(Number(url.port), `/${options.documentId}?sessionKey=${options.token}`)
      let [pings, isClosed] = [0, false]
      socket.on("close", () => {
        isClosed = true
      })
      socket.on("data", (data) => {
        if (!Buffer.from(data).includes(PING)) return
        pings += 1
        if (pings === 1) socket.write(frameHeader(LARGE))
        else if (pings < 4) socket.write("x")
      })
      yield* until("four pings came", () => pings === 4 || isClosed)
      assert.strictEqual(pings, 4)
      yield* until("the connection is closed", () => isClosed)
    })
  )

  it.live("keeps a client that takes long to receive a frame", () =>
    Effect.gen(function* () {
      // On a busy machine, this process reads slower than it means to, and the kernel reports reads in steps of megabytes.
      const patient = { ...limits, heartbeat: "4 seconds" } as const
      const server = yield* startMemoryServer({ limits: patient })
      const { author, client, docId, options, snapshot } = yield* startDocument(server)
      client.send(snapshotMessage(author, { docId, parent: snapshot, ciphertext: (LARGE * 3) / 4 }))
      yield* client.next("snapshot-saved", ({ snapshotId }) => snapshotId !== snapshot.publicData.snapshotId)
      const url = new URL(options.url)
      const socket = yield* askToUpgrade(Number(url.port), `/${docId}?sessionKey=${options.token}`)
      let [bytes, isClosed] = [0, false]
      socket.on("close", () => {
        isClosed = true
      })
      // Reads half a megabyte at a time, so that all of it takes about three heartbeats.
      let taken = 0
      socket.on("data", ({ length }) => {
        bytes += length
        taken += length
        if (taken < MB / 2) return
        taken = 0
        socket.pause()
        setTimeout(() => socket.resume(), 192)
      })
      yield* until("the frame is received", () => bytes > LARGE || isClosed)
      assert.isAbove(bytes, LARGE)
    })
  )
})
