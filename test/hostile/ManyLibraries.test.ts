/** Clients of many large libraries fill the server's memory: it refuses further clients, and serves the connected ones. */
import { assert, describe, it } from "@effect/vitest"
import { defaultQuota } from "@sealog/server/admin"
import { Effect, Exit, Schedule } from "effect"
import { vi } from "vitest"
import { connectVerdant, type RawVerdant } from "../support/clients/RawVerdant.ts"
import { spawnServer, syncAdmin } from "../support/servers/ServerProcess.ts"
import { freshStorage } from "../support/storage/databases.ts"
import { until } from "../support/until.ts"
import { type Library, libraryOn } from "../support/verdant/Library.ts"
import { initialize, makeReplica, type Replica, set } from "../support/verdant/Replica.ts"

// The server stores a hundred thousand objects.
vi.setConfig({ testTimeout: 300_000 })

/** The server's heap in MiB. */
const HEAP = 192
const OBJECTS = 3000
const MAX_LIBRARIES = 200
/** The heap in MiB of a small server, in which one library grows. */
const SHARED_HEAP = 256
/** Libraries that grow at the same time in a smaller heap, and the objects of each at most: more than it has room for. */
const GROWING = 3
const SMALL_HEAP = 128
const MAX_OBJECTS = 60_000

/** Lists whose parsed values take ten or twenty times the memory of their JSON, of which each message brings one. */
const SMALL_PIECES = 330_000
const MAX_LISTS = 40
/** Libraries of such lists that clients open all at once, and the lists of each: together, their values fill the heap four times. */
const [RETURNING, LISTS] = [4, 3]
/** The heap of the server that stores them. */
const LARGE_HEAP = 1500
/** Objects in one message, each with a field of its own: parsed, they take more than a small heap. */
const [MESSAGE_LISTS, MESSAGE_OBJECTS] = [7, 240_000]

const objectsOf = (replica: Replica, from = 0) =>
  replica.op(...Array.from({ length: OBJECTS }, (_, i) => replica.operation(`item/${from + i}`, initialize({}))))

/** Dies when the connection is closed. */
const whileOpen = <A>({ closed }: RawVerdant, effect: Effect.Effect<A>): Effect.Effect<A> =>
  Effect.raceFirst(
    effect,
    Effect.flatMap(closed, ({ code }) => Effect.die(new Error(`The server closed the connection with ${code}`)))
  )

/** Connects to a library, by default one of its own. Dies when the server refuses or closes the connection. */
const joinLibrary = Effect.fnUntraced(function* (
  server: { readonly url: string },
  library: Library = libraryOn(server)
) {
  const connection = yield* connectVerdant(library, yield* library.token({ userId: "somebody" }))
  const replica = makeReplica()
  connection.send(replica.sync({ resyncAll: true }))
  yield* whileOpen(connection, connection.next("sync-resp"))
  return { connection, replica }
})

/** Joins a library of its own and fills it; undefined when the server refuses the connection. */
const fillLibrary = Effect.fnUntraced(function* (server: { readonly url: string }) {
  const joined = yield* Effect.exit(joinLibrary(server))
  if (Exit.isFailure(joined)) return undefined
  yield* write(joined.value.connection, objectsOf(joined.value.replica))
  return joined.value
})

/** Sends operations, and waits until they are stored. */
const write = (connection: RawVerdant, message: object) =>
  Effect.suspend(() => {
    connection.send(message)
    return connection.next("server-ack")
  })

describe("a library that grows until it has reached its quota, in a heap that has no room for that of a large server", () => {
  it.live("keeps no newcomer out of another library", () =>
    Effect.gen(function* () {
      const server = yield* spawnServer(yield* freshStorage, {
        program: [`--max-old-space-size=${SHARED_HEAP}`, syncAdmin]
      })
      const library = libraryOn(server)
      const { connection, replica } = yield* joinLibrary(server, library)
      // It acknowledges nothing, so that no operation is compacted.
      yield* joinLibrary(server, library)
      const isFull = () => connection.messages.some(({ type }) => type === "forbidden")
      const value = { text: "x".repeat(150) }
      for (let at = 0; !isFull() && at < 2 * defaultQuota.objects; at += OBJECTS) {
        for (const patch of [initialize(value), set("more", 1)])
          connection.send(
            replica.op(...Array.from({ length: OBJECTS }, (_, i) => replica.operation(`item/${at + i}`, patch)))
          )
        yield* connection.settled
        yield* Effect.scoped(joinLibrary(server))
      }
      assert.isTrue(isFull())
      assert.isTrue(connection.isOpen())
    })
  )
})

const listOf = (length: number, field?: string) =>
  initialize(Array.from({ length }, (_, i) => (field === undefined ? {} : { [field + i]: 1 })))

describe("a message of very many small values", () => {
  it.live("is refused before it is parsed, if its values would take much of the heap", () =>
    Effect.gen(function* () {
      const server = yield* spawnServer(yield* freshStorage, {
        program: [`--max-old-space-size=${SHARED_HEAP}`, syncAdmin]
      })
      const { connection, replica } = yield* joinLibrary(server)
      const lists = Array.from({ length: MESSAGE_LISTS }, (_, i) => listOf(MESSAGE_OBJECTS, `${i}f`))
      connection.send(replica.op(...lists.map((list, i) => replica.operation(`item/${i}`, list))))
      assert.strictEqual((yield* connection.closed).code, 1008)
      yield* joinLibrary(server)
    })
  )
})

describe("libraries of very many small values", () => {
  it.live("are opened one after the other when all their clients come back at once, and the process goes on", () =>
    Effect.gen(function* () {
      const storage = yield* freshStorage
      const ids = yield* Effect.scoped(
        Effect.gen(function* () {
          const server = yield* spawnServer(storage, {
            args: ["--quota", "bytes=64MiB"],
            program: [`--max-old-space-size=${LARGE_HEAP}`, syncAdmin]
          })
          return yield* Effect.forEach(Array.from({ length: RETURNING }), () =>
            Effect.gen(function* () {
              const library = libraryOn(server)
              const { connection, replica } = yield* joinLibrary(server, library)
              for (let at = 0; at < LISTS; at++) {
                const list = listOf(4 * SMALL_PIECES)
                yield* whileOpen(connection, write(connection, replica.op(replica.operation(`item/${at}`, list))))
              }
              return library.id
            })
          )
        })
      )
      const server = yield* spawnServer(storage, { program: [`--max-old-space-size=${SHARED_HEAP}`, syncAdmin] })
      const join = (id: string) => Effect.sandbox(Effect.scoped(joinLibrary(server, libraryOn(server, id))))
      // Each client comes back until the library is there, as clients do: later each time.
      yield* Effect.forEach(ids, (id) => Effect.retry(join(id), Schedule.exponential("1 second")), {
        concurrency: "unbounded"
      })
    })
  )

  it.live("reach their quota before they fill the heap, and open again after a restart", () =>
    Effect.gen(function* () {
      const storage = yield* freshStorage
      const options = { program: [`--max-old-space-size=${SHARED_HEAP}`, syncAdmin] }
      const list = listOf(SMALL_PIECES)
      const id = yield* Effect.scoped(
        Effect.gen(function* () {
          const server = yield* spawnServer(storage, options)
          const library = libraryOn(server)
          const { connection, replica } = yield* joinLibrary(server, library)
          const isFull = () => connection.messages.some(({ type }) => type === "forbidden")
          for (let at = 0; !isFull() && at < MAX_LISTS; at++) {
            connection.send(replica.op(replica.operation(`item/${at}`, list)))
            yield* whileOpen(connection, connection.settled)
          }
          assert.isTrue(isFull())
          return library.id
        })
      )
      const server = yield* spawnServer(storage, options)
      yield* joinLibrary(server, libraryOn(server, id))
    })
  )
})

describe("a server whose memory is nearly full", () => {
  it.live("refuses further clients, and goes on to store what nearly all of the connected ones write", () =>
    Effect.gen(function* () {
      const server = yield* spawnServer(yield* freshStorage, { program: [`--max-old-space-size=${HEAP}`, syncAdmin] })
      const filled: Array<{ readonly connection: RawVerdant; readonly replica: Replica }> = []
      let isRefused = false
      while (!isRefused && filled.length < MAX_LIBRARIES) {
        const library = yield* fillLibrary(server)
        if (library === undefined) isRefused = true
        else filled.push(library)
      }
      assert.isTrue(isRefused, `${filled.length} libraries`)
      const closed: Array<number> = []
      for (const { connection, replica } of filled) {
        const written = write(connection, replica.op(replica.operation("item/last", initialize({ id: "last" }))))
        yield* Effect.raceFirst(
          Effect.asVoid(written),
          Effect.map(connection.closed, ({ code }) => void closed.push(code))
        )
      }
      // The last library that found room may have left too little for all. The largest ones give way then.
      for (const code of closed) assert.strictEqual(code, 1013)
      assert.isBelow(closed.length, filled.length / 10)
    })
  )

  it.live("closes the largest libraries when those that are open grow, and stores what all others write", () =>
    Effect.gen(function* () {
      const server = yield* spawnServer(yield* freshStorage, {
        // By default, a small heap has a small quota.
        args: ["--quota", "objects=100000", "--quota", "operations=200000", "--quota", "bytes=64MiB"],
        program: [`--max-old-space-size=${SMALL_HEAP}`, syncAdmin]
      })
      const small = yield* joinLibrary(server)
      const growing = yield* Effect.forEach(Array.from({ length: GROWING }), () => joinLibrary(server))
      let isClosed = false
      for (let at = 0; at < MAX_OBJECTS && !isClosed; at += OBJECTS) {
        for (const { connection, replica } of growing) {
          connection.send(objectsOf(replica, at))
          yield* Effect.raceFirst(connection.settled, Effect.asVoid(connection.closed))
        }
        yield* write(small.connection, small.replica.op(small.replica.operation("item/small", initialize({ at }))))
        isClosed = growing.some(({ connection }) => !connection.isOpen())
      }
      assert.isTrue(isClosed)
      for (const { connection } of growing) {
        if (!connection.isOpen()) assert.strictEqual((yield* connection.closed).code, 1013)
      }
      yield* until(
        "a client is admitted again",
        Effect.map(Effect.exit(Effect.scoped(joinLibrary(server))), Exit.isSuccess)
      )
    })
  )
})
