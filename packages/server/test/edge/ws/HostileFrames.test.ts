/** A hostile client is answered or closed whatever it sends, and no other client is affected. */
import { connect, type Socket } from "node:net"
import { deflateRawSync } from "node:zlib"
import { assert, describe, it } from "@effect/vitest"
import { Array, Effect, Option } from "effect"
import fc from "fast-check"
import { connectRaw, openRaw, type RawSecsync } from "#test-support/clients/RawSecsync"
import { startDocument } from "#test-support/secsync/startDocument"
import { startMemoryServer, type TestServer } from "#test-support/servers/TestServer"
import {
  ephemeralMessage,
  makeAuthor,
  randomId,
  resign,
  snapshotMessage,
  updateMessage
} from "../../../src/testing/SealedMessages.ts"

const limits = { maxFrameBytes: 128 * 1024, maxBufferedBytes: 256 * 1024 }

/** A document with an attacker and two other clients, which go on working. */
const makeScene = Effect.fnUntraced(function* () {
  const server = yield* startMemoryServer({ limits })
  const document = yield* startDocument(server)
  const { author, client, docId, options, refSnapshotId } = document
  const reader = yield* connectRaw(options)
  // A frame of the reader ends the pause after its document: it is then sent every event at once.
  reader.send(ephemeralMessage(author, { docId }))
  yield* client.next("ephemeral-message")
  let clock = 0
  /** Another client writes and is acknowledged, and the reader receives the update. */
  const othersGoOn = Effect.gen(function* () {
    const update = updateMessage(author, { docId, refSnapshotId, clock: clock++ })
    client.send(update)
    yield* client.next("update-saved", (frame) => frame["clock"] === update.publicData.clock)
    yield* reader.next("update", (frame) => frame["signature"] === update.signature)
  })
  return { ...document, server, reader, othersGoOn, attack: connectRaw(options) }
})

type Frame = string | object | Uint8Array

const send = (client: RawSecsync, frame: Frame): void =>
  frame instanceof Uint8Array ? client.sendBinary(frame) : client.send(frame)

/** The type of the next frame, or the code that the connection is closed with. */
const answerTo = (client: RawSecsync, frame: Frame): Effect.Effect<string | number> =>
  Effect.andThen(
    Effect.sync(() => send(client, frame)),
    Effect.raceFirst(
      Effect.map(client.next(), ({ type }) => type),
      Effect.map(client.closed, ({ code }) => code)
    )
  )

const nested = (depth: number): string => "[".repeat(depth) + "]".repeat(depth)

describe("hostile frames", () => {
  it.live("compression is off: a client that offers it does without, and a compressed frame closes with 1002", () =>
    Effect.gen(function* () {
      const { attack, othersGoOn } = yield* makeScene()
      // The client offers `permessage-deflate`, as browsers do.
      const offering = yield* attack
      assert.strictEqual(offering.socket.extensions, "")
      // 64 MiB of zeros in 64 KiB: with the bit RSV1, the frame says that it is compressed (RFC 7692 section 6).
      const bomb = deflateRawSync(Buffer.alloc(64 * 1024 * 1024))
      const header = Buffer.alloc(8)
      header.set([0x80 | 0x40 | 0x01, 0x80 | 126])
      header.writeUInt16BE(Math.min(bomb.length, 0xffff), 2)
      const before = process.memoryUsage().rss
      socketOf(offering).write(Buffer.concat([header, bomb]))
      assert.strictEqual((yield* offering.closed).code, 1002)
      assert.isBelow(process.memoryUsage().rss - before, 32 * 1024 * 1024)
      yield* othersGoOn
    })
  )

  it.live("a frame that is not JSON closes with 1007, and JSON that is not a message with 1008", () =>
    Effect.gen(function* () {
      const { attack, author, docId, othersGoOn } = yield* makeScene()
      const message = ephemeralMessage(author, { docId })
      const expected: ReadonlyArray<readonly [Frame, number]> = [
        ["", 1007],
        ["not JSON", 1007],
        ["{", 1007],
        ["\u0000", 1007],
        ["NaN", 1007],
        ['{"a":1}{"b":2}', 1007],
        [new Uint8Array([1, 2, 3]), 1007],
        [Buffer.from(JSON.stringify(message)), 1007],
        ["null", 1008],
        ["42", 1008],
        ["1e999", 1008],
        ['"text"', 1008],
        ["[]", 1008],
        ["{}", 1008],
        [nested(30_000), 1008],
        [`${'{"publicData":'.repeat(5000)}1${"}".repeat(5000)}`, 1008],
        [{ publicData: null }, 1008],
        [{ publicData: [] }, 1008],
        [{ publicData: { docId } }, 1008],
        ['{"__proto__":{"publicData":{"snapshotId":"x"}}}', 1008],
        ['{"publicData":{"__proto__":{"snapshotId":"x"}}}', 1008],
        [{ ...message, signature: "A".repeat(86) }, 1008],
        [{ ...message, ciphertext: "ä" }, 1008],
        [ephemeralMessage(author, { docId: "another" }), 1008],
        [resign(author, message, { pubKey: "constructor" as never }), 1008],
        [resign(author, message, { pubKey: makeAuthor().pubKey }), 1008]
      ]
      for (const [frame, code] of expected) {
        const client = yield* attack
        assert.strictEqual(yield* answerTo(client, frame), code, String(JSON.stringify(frame)).slice(0, 200))
      }
      yield* othersGoOn
    })
  )

  it.live("an update that cannot be stored is refused as an update", () =>
    Effect.gen(function* () {
      const { attack, docId, key, othersGoOn, refSnapshotId, server } = yield* makeScene()
      const author = makeAuthor()
      const good = updateMessage(author, { docId, refSnapshotId, clock: 0 })
      const text = JSON.stringify(good)
      const withPublicData = (change: object) => ({ ...good, publicData: { ...good.publicData, ...change } })
      const frames: ReadonlyArray<Frame> = [
        { publicData: { refSnapshotId } },
        { ...good, ciphertext: "" },
        { ...good, ciphertext: "not base64!" },
        { ...good, ciphertext: 5 },
        { ...good, ciphertext: `${good.ciphertext}AAAA` },
        { ...good, nonce: "AAAA" },
        { ...good, nonce: "A".repeat(32) },
        { ...good, signature: "" },
        { ...good, signature: "A".repeat(86) },
        { ...good, signature: "*".repeat(86) },
        { ...good, signature: null },
        withPublicData({ docId: null }),
        withPublicData({ pubKey: "__proto__" }),
        withPublicData({ pubKey: "constructor" }),
        withPublicData({ pubKey: ["A".repeat(43)] }),
        withPublicData({ refSnapshotId: {} }),
        withPublicData({ refSnapshotId: "__proto__" }),
        withPublicData({ refSnapshotId: "x".repeat(70_000) }),
        withPublicData({ clock: "0" }),
        withPublicData({ clock: null }),
        withPublicData({ additional: "not signed" }),
        resign(author, good, { docId: "another-document" }),
        resign(author, good, { clock: 1 }),
        resign(author, good, { clock: -1 }),
        resign(author, good, { clock: 0.5 }),
        resign(author, good, { clock: Number.MAX_SAFE_INTEGER }),
        resign(author, good, { clock: 2 ** 53 }),
        resign(author, good, { clock: 1e300 }),
        resign(author, good, { refSnapshotId: randomId() }),
        resign(author, good, { pubKey: makeAuthor().pubKey }),
        resign(makeAuthor(), good, {}),
        resign(author, good, { nested: JSON.parse(nested(40)) }),
        text.replace('"clock":0', '"clock":1e999'),
        text.replace('"clock":0', '"clock":0,"clock":7'),
        text.replace('"publicData":{', `"publicData":{"deep":${nested(20_000)},`)
      ]
      for (const frame of frames) {
        const client = yield* attack
        assert.strictEqual(yield* answerTo(client, frame), "update-save-failed", JSON.stringify(frame).slice(0, 300))
        // The connection stays open, and the author's clock does not change.
        assert.isTrue(client.isOpen())
      }
      const client = yield* attack
      // If two fields have one name, the last one counts, as in `JSON.parse`.
      assert.strictEqual(yield* answerTo(client, text.replace('"clock":0', '"clock":7,"clock":0')), "update-saved")
      const own = updateMessage(author, {
        ...{ docId, refSnapshotId, clock: 1 },
        additional: JSON.parse('{"__proto__":{"polluted":true},"constructor":{"prototype":1}}')
      })
      assert.strictEqual(yield* answerTo(client, own), "update-saved")
      assert.isUndefined(({} as { polluted?: boolean }).polluted)
      yield* othersGoOn
      assert.lengthOf(yield* server.log.read(key, { after: 0 }), 4)
    })
  )

  it.live("a snapshot that cannot be stored is refused as a snapshot", () =>
    Effect.gen(function* () {
      const { attack, author, docId, othersGoOn, refSnapshotId, server, key, snapshot } = yield* makeScene()
      const good = snapshotMessage(author, { docId, parent: snapshot })
      const text = JSON.stringify(good)
      const frames: ReadonlyArray<Frame> = [
        { publicData: { snapshotId: "x" } },
        { publicData: { snapshotId: null } },
        { ...good, ciphertext: "" },
        { ...good, ciphertext: "==" },
        { ...good, signature: "A".repeat(86) },
        resign(author, good, { docId: "another-document" }),
        resign(author, good, { parentSnapshotProof: good.signature.slice(0, 43) as never }),
        resign(author, good, { parentSnapshotProof: "" as never }),
        resign(author, good, { parentSnapshotId: "" }),
        resign(author, good, { parentSnapshotId: randomId() }),
        resign(author, good, { parentSnapshotId: good.publicData.snapshotId }),
        resign(author, good, { snapshotId: refSnapshotId }),
        resign(author, good, { snapshotId: "@library" }),
        resign(author, good, { snapshotId: "x".repeat(65) }),
        resign(author, good, { parentSnapshotUpdateClocks: { [author.pubKey]: 5 } }),
        resign(author, good, { parentSnapshotUpdateClocks: { [author.pubKey]: -1 } }),
        resign(author, good, { parentSnapshotUpdateClocks: { constructor: 0 } }),
        resign(author, good, { parentSnapshotUpdateClocks: JSON.parse('{"__proto__":0}') }),
        resign(author, good, { parentSnapshotUpdateClocks: [] as never }),
        resign(author, good, { parentSnapshotUpdateClocks: null as never }),
        text.replace('"parentSnapshotUpdateClocks":{}', `"parentSnapshotUpdateClocks":${nested(20_000)}`)
      ]
      for (const frame of frames) {
        const client = yield* attack
        assert.strictEqual(yield* answerTo(client, frame), "snapshot-save-failed", JSON.stringify(frame).slice(0, 300))
        assert.isTrue(client.isOpen())
      }
      yield* othersGoOn
      assert.deepStrictEqual(
        (yield* server.log.read(key, { after: 0 })).map(({ event }) => event.type),
        ["SnapshotStored", "UpdateStored"]
      )
    })
  )

  it.live("a frame that breaks a limit or the WebSocket protocol closes only its own connection", () =>
    Effect.gen(function* () {
      const { attack, docId, othersGoOn, refSnapshotId } = yield* makeScene()
      const tooLong = yield* attack
      assert.strictEqual(yield* answerTo(tooLong, `"${"x".repeat(limits.maxFrameBytes)}"`), 1009)

      const notUtf8 = yield* attack
      notUtf8.socket.send(Buffer.from([0x22, 0xff, 0xfe, 0x22]), { binary: false })
      assert.strictEqual((yield* notUtf8.closed).code, 1007)

      const unmasked = yield* attack
      socketOf(unmasked).write(Buffer.from([0x81, 0x02, 0x7b, 0x7d]))
      assert.strictEqual((yield* unmasked.closed).code, 1002)

      const reserved = yield* attack
      socketOf(reserved).write(Buffer.from([0xf3, 0x80, 0, 0, 0, 0]))
      assert.strictEqual((yield* reserved.closed).code, 1002)

      const pinging = yield* attack
      for (let i = 0; i < 20_000; i++) pinging.socket.ping()
      // Pings are answered as fast as the client takes the answers; a client that sends more is dropped.
      assert.strictEqual((yield* pinging.closed).code, 1006)

      // A message in 16,384 fragments is put together or refused, and does not stop the server.
      const fragmented = yield* attack
      const author = makeAuthor()
      const text = JSON.stringify(updateMessage(author, { docId, refSnapshotId, clock: 0 }))
      const pieces = [...text, ...Array.makeBy(16_384 - text.length, () => "")]
      for (const piece of pieces) fragmented.socket.send(piece, { binary: false, fin: false })
      assert.include(["update-saved", 1008, 1009], yield* answerToLast(fragmented))
      yield* othersGoOn
    })
  )

  it.live("frames before one that closes the connection are handled, and frames after it are not", () =>
    Effect.gen(function* () {
      const { attack, author, docId, refSnapshotId, reader } = yield* makeScene()
      const attacker = yield* attack
      const before = updateMessage(author, { docId, refSnapshotId, clock: 0 })
      const after = updateMessage(author, { docId, refSnapshotId, clock: 1 })
      for (const frame of [before, "not JSON", after]) attacker.send(frame)
      assert.strictEqual((yield* attacker.closed).code, 1007)
      yield* reader.next("update", ({ signature }) => signature === before.signature)
      const newcomer = yield* attack
      assert.deepStrictEqual(newcomer.first["updates"], [before])
    })
  )

  it.live("an upgrade that is malformed or names no document is refused", () =>
    Effect.gen(function* () {
      const { options, othersGoOn, server } = yield* makeScene()
      for (const documentId of ["", "@library", "@a", "%C2%80", "x".repeat(201)]) {
        const client = yield* openRaw({ ...options, documentId })
        assert.strictEqual((yield* client.next()).type, "document-error", documentId)
        assert.strictEqual((yield* client.closed).code, 1008, documentId)
      }
      const key = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="
      const refused = [
        `GET http://x/doc HTTP/1.1\r\nHost: x\r\n${key}\r\nSec-WebSocket-Version: 13\r\n\r\n`,
        `GET /doc HTTP/1.1\r\nHost: x\r\n${key}\r\nSec-WebSocket-Version: 99\r\n\r\n`,
        "GET /doc HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
        "\u0000\u0001\u0002 this is not HTTP\r\n\r\n",
        `GET /${"x".repeat(100_000)} HTTP/1.1\r\nHost: x\r\n\r\n`
      ]
      for (const request of refused) {
        const answer = yield* ask(server, request)
        assert.match(answer, /^HTTP\/1\.1 4\d\d /, request.slice(0, 100))
      }
      // Upgrades that are never finished, and clients that go right after theirs.
      for (let i = 0; i < 50; i++) {
        const halfOpen = yield* dial(server)
        halfOpen.write("GET /doc HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n")
        const gone = yield* dial(server)
        gone.end(
          `GET /${options.documentId}?sessionKey=${options.token} HTTP/1.1\r\nHost: x\r\n${key}\r\nSec-WebSocket-Version: 13\r\n\r\n`
        )
        gone.destroy()
      }
      yield* othersGoOn
    })
  )

  it.live("a client that never reads is closed or dropped, and the others go on", () =>
    Effect.gen(function* () {
      const { attack, client, docId, options, othersGoOn, refSnapshotId } = yield* makeScene()
      const slow = yield* attack
      slow.send(ephemeralMessage(makeAuthor(), { docId }))
      yield* client.next("ephemeral-message")
      slow.socket.pause()
      const [writer, author] = [yield* connectRaw(options), makeAuthor()]
      const updates = 600
      const ciphertext = "A".repeat(80_000)
      for (let clock = 0; clock < updates; clock++) {
        writer.send(updateMessage(author, { docId, refSnapshotId, clock, ciphertext }))
        yield* writer.next("update-saved")
      }
      yield* othersGoOn
      slow.socket.resume()
      const { code } = yield* slow.closed
      assert.include([1013, 1006], code)
      assert.isBelow(slow.frames.length, updates)
    })
  )

  it.live("a client that floods with refused frames and reads no answers does not hold up the others", () =>
    Effect.gen(function* () {
      const { attack, othersGoOn, refSnapshotId } = yield* makeScene()
      const flooder = yield* attack
      flooder.socket.pause()
      for (let clock = 0; clock < 50_000; clock++) flooder.send({ publicData: { refSnapshotId, clock } })
      for (let i = 0; i < 20; i++) yield* othersGoOn
    })
  )

  it.live("any frame gets an answer or closes the connection", () =>
    Effect.gen(function* () {
      const { attack, author, docId, othersGoOn, refSnapshotId, snapshot } = yield* makeScene()
      const valid: ReadonlyArray<object> = [
        updateMessage(author, { docId, refSnapshotId, clock: 3 }),
        snapshotMessage(author, { docId, parent: snapshot, clocks: { [author.pubKey]: 9 } }),
        ephemeralMessage(author, { docId: "another" })
      ]
      const value = fc.oneof(fc.jsonValue(), fc.constantFrom("__proto__", "constructor", "", -0, 1e21, null, [], {}))
      const mutated = fc
        .tuple(fc.constantFrom(...valid), fc.nat(), value, fc.boolean())
        .map(([message, at, value, drop]) => mutate(message, at, value, drop))
      const frames = fc.oneof(
        { weight: 6, arbitrary: mutated },
        { weight: 2, arbitrary: fc.json() },
        { weight: 1, arbitrary: fc.string({ unit: "binary" }) },
        { weight: 1, arbitrary: fc.uint8Array({ maxLength: 50 }) }
      )
      const seed = Math.floor(Math.random() * 2 ** 31)
      let client = Option.none<RawSecsync>()
      for (const frame of fc.sample(frames, { seed, numRuns: 500 })) {
        const current = Option.isSome(client) && client.value.isOpen() ? client.value : yield* attack
        const answer = yield* answerTo(current, frame)
        const allowed = ["update-save-failed", "snapshot-save-failed", "update-superseded", 1007, 1008]
        assert.include(allowed, answer, `seed ${seed}: ${JSON.stringify(frame)}`)
        client = typeof answer === "number" ? Option.none() : Option.some(current)
      }
      yield* othersGoOn
    })
  )
})

/** Changes or drops one field of the message or of its public data. */
const mutate = (message: object, at: number, value: unknown, drop: boolean): object => {
  const copy = structuredClone(message) as Record<string, unknown>
  const publicData = copy["publicData"] as Record<string, unknown>
  const places = [
    ...Object.keys(copy).map((key) => [copy, key] as const),
    ...Object.keys(publicData).map((key) => [publicData, key] as const)
  ]
  const [target, key] = places[at % places.length] ?? [copy, "publicData"]
  if (drop) delete target[key]
  else target[key] = value
  return copy
}

/** Ends a fragmented message. Returns the type of the answer, or the code that the connection is closed with. */
const answerToLast = (client: RawSecsync): Effect.Effect<string | number> => {
  client.socket.send("", { binary: false, fin: true })
  return Effect.raceFirst(
    Effect.map(client.next(), ({ type }) => type),
    Effect.map(client.closed, ({ code }) => code)
  )
}

/** The TCP socket below a WebSocket. */
const socketOf = (client: RawSecsync): Socket => (client.socket as unknown as { readonly _socket: Socket })._socket

const dial = (server: TestServer) =>
  Effect.acquireRelease(
    Effect.callback<Socket>((resume) => {
      const socket = connect(server.port, "127.0.0.1", () => resume(Effect.succeed(socket)))
      socket.on("error", () => {})
    }),
    (socket) => Effect.sync(() => socket.destroy())
  )

/** Sends a request and returns the response, up to the end of the connection. */
const ask = Effect.fnUntraced(function* (server: TestServer, request: string) {
  const socket = yield* dial(server)
  return yield* Effect.callback<string>((resume) => {
    let answer = ""
    socket.on("data", (chunk) => {
      answer += String(chunk)
    })
    socket.on("close", () => resume(Effect.succeed(answer)))
    socket.write(request)
  })
})
