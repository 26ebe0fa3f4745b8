/** Clients of many large libraries fill the server's memory: it refuses further clients, and serves the connected ones. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit } from "effect"
import { vi } from "vitest"
import { connectVerdant, type RawVerdant } from "../support/clients/RawVerdant.ts"
import { spawnServer, syncAdmin } from "../support/servers/ServerProcess.ts"
import { freshStorage } from "../support/storage/databases.ts"
import { libraryOn } from "../support/verdant/Library.ts"
import { initialize, makeReplica, type Replica } from "../support/verdant/Replica.ts"

// The server stores a hundred thousand objects.
vi.setConfig({ testTimeout: 300_000 })

/** The server's heap in MiB. */
const HEAP = 192
const OBJECTS = 3000
const MAX_LIBRARIES = 200

const objectsOf = (replica: Replica) =>
  replica.op(...Array.from({ length: OBJECTS }, (_, i) => replica.operation(`item/${i}`, initialize({}))))

/** Joins a library of its own and fills it; undefined when the server refuses the connection. */
const fillLibrary = Effect.fnUntraced(function* (server: { readonly url: string }) {
  const library = libraryOn(server)
  const token = yield* library.token({ userId: "somebody" })
  const connected = yield* Effect.exit(connectVerdant(library, token))
  if (Exit.isFailure(connected)) return undefined
  const replica = makeReplica()
  connected.value.send(replica.sync({ resyncAll: true }))
  yield* connected.value.next("sync-resp")
  yield* write(connected.value, objectsOf(replica))
  return { connection: connected.value, replica }
})

/** Sends operations, and waits until they are stored. */
const write = (connection: RawVerdant, message: object) =>
  Effect.suspend(() => {
    connection.send(message)
    return connection.next("server-ack")
  })

describe("a server whose memory is nearly full", () => {
  it.live("refuses further clients, and goes on to store what the connected ones write", () =>
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
      for (const { connection, replica } of filled) {
        yield* write(connection, replica.op(replica.operation("item/last", initialize({ id: "last" }))))
      }
    })
  )
})
