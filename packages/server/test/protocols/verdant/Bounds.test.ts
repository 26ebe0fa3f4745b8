/** A client cannot fill a library, poison its clock, or break it by the name of its user. */
import { createHmac } from "node:crypto"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { openSocket } from "#test-support/clients/RawSocket"
import { connectVerdant, refusedUpgrade, registerReplica } from "#test-support/clients/RawVerdant"
import { startMemoryServer, TOKEN_SECRET } from "#test-support/servers/TestServer"
import { type Library, libraryOn } from "#test-support/verdant/Library"
import { initialize, makeReplica, set } from "#test-support/verdant/Replica"

const MEGA = 1024 * 1024

const connect = Effect.fnUntraced(function* (library: Library) {
  const connection = yield* connectVerdant(library, yield* library.token({ userId: "ada" }))
  const replica = makeReplica()
  yield* registerReplica(connection, replica)
  return { connection, replica }
})

const countOf = (type: string, messages: ReadonlyArray<{ readonly type: string }>): number =>
  messages.filter((message) => message.type === type).length

describe("a Verdant library", () => {
  it.live("refuses what an object has no room for, goes on, and has everything else", () =>
    Effect.gen(function* () {
      const library = libraryOn(yield* startMemoryServer())
      const { connection, replica } = yield* connect(library)
      const megas = (count: number) => "x".repeat(count * MEGA)
      connection.send(replica.op(replica.operation("notes/a", initialize({ a: megas(3) }))))
      connection.send(replica.op(replica.operation("notes/a", set("b", megas(3)))))
      yield* connection.settled
      assert.strictEqual(countOf("forbidden", connection.messages), 0)
      connection.send(replica.op(replica.operation("notes/a", set("c", megas(3)))))
      connection.send(replica.op(replica.operation("notes/b", initialize({ small: true }))))
      yield* connection.settled
      assert.strictEqual(countOf("forbidden", connection.messages), 1)
      const reader = yield* connectVerdant(library, yield* library.token({ userId: "bert" }))
      const { operations } = yield* registerReplica(reader, makeReplica())
      const ops = (operations as ReadonlyArray<{ data: { op: string; name?: string } }>).map(({ data }) => data)
      assert.deepStrictEqual(
        ops.map(({ name, op }) => name ?? op),
        ["initialize", "b", "initialize"]
      )
    })
  )

  it.live("answers a reader who writes a while, and closes the connection with 1008 once the reader floods", () =>
    Effect.gen(function* () {
      const library = libraryOn(yield* startMemoryServer())
      const { connection: writer, replica: own } = yield* connect(library)
      const reader = yield* connectVerdant(library, yield* library.token({ userId: "eve", type: "read-only" }))
      const replica = makeReplica()
      yield* registerReplica(reader, replica)
      const send = () => reader.send(replica.op(replica.operation("notes/a", initialize({}))))
      for (let n = 0; n < 500; n++) send()
      yield* reader.settled
      assert.strictEqual(countOf("forbidden", reader.messages), 500)
      const flood = Effect.forever(Effect.delay(Effect.sync(send), "1 millis"))
      for (let n = 0; n < 1000; n++) send()
      const { code } = yield* Effect.raceFirst(reader.closed, flood)
      assert.strictEqual(code, 1008)
      writer.send(own.op(own.operation("notes/a", initialize({}))))
      yield* writer.settled
      assert.strictEqual(countOf("forbidden", writer.messages), 0)
    })
  )

  it.live("closes a connection whose sync has a schema version that no app has, and refuses such operations", () =>
    Effect.gen(function* () {
      const library = libraryOn(yield* startMemoryServer())
      const { connection, replica } = yield* connect(library)
      const huge = replica.now(0, 36 ** 4 - 1)
      const made = replica.operation("notes/a", initialize({}))
      connection.send(replica.op(made, { ...replica.operation("notes/b", initialize({})), timestamp: huge }))
      connection.send(replica.ack({ timestamp: huge }))
      yield* connection.settled
      assert.strictEqual(countOf("forbidden", connection.messages), 1)
      const other = yield* connectVerdant(library, yield* library.token({ userId: "mallory" }))
      other.send(makeReplica().sync({ timestamp: huge }))
      assert.strictEqual((yield* other.closed).code, 1008)
      const reader = yield* connect(library)
      assert.isTrue(reader.connection.messages.every((message) => !JSON.stringify(message).includes("zzzz")))
    })
  )
})

describe("a token with a claim that is no text", () => {
  const sign = (claims: object): string => {
    const encode = (value: object) => Buffer.from(JSON.stringify(value)).toString("base64url")
    const signed = `${encode({ alg: "HS256", typ: "JWT" })}.${encode(claims)}`
    return `${signed}.${createHmac("sha256", TOKEN_SECRET).update(signed).digest("base64url")}`
  }

  it.live.each(["\ud800", "", "ada\u001b[2J"])(
    "as its user is refused by both protocols, and others go on (%j)",
    (sub) =>
      Effect.gen(function* () {
        const server = yield* startMemoryServer()
        const library = libraryOn(server)
        const token = sign({ sub, lib: library.id, type: 0, exp: Math.floor(Date.now() / 1000) + 600 })
        assert.strictEqual(yield* refusedUpgrade(library, ["Bearer", token]), 401)
        const secsync = yield* openSocket(`${server.url}/document?sessionKey=${token}`)
        yield* secsync.closed
        yield* connect(library)
      })
  )

  it.live("as its role writes as without a role", () =>
    Effect.gen(function* () {
      const library = libraryOn(yield* startMemoryServer())
      const exp = Math.floor(Date.now() / 1000) + 600
      const connection = yield* connectVerdant(library, sign({ sub: "ada", lib: library.id, role: "\ud800", exp }))
      const replica = makeReplica()
      yield* registerReplica(connection, replica)
      connection.send(replica.op(replica.operation("notes/a", initialize({}))))
      yield* connection.next("server-ack")
    })
  )
})
