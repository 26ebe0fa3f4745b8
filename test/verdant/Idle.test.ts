/** The server closes a library some time after its last use, and not earlier. The test controls the server's clock. */
import { assert, describe, it } from "@effect/vitest"
import { VERDANT } from "@sealog/server/domain/verdant/Events"
import { Effect } from "effect"
import { TestClock } from "effect/testing"
import { connectVerdant, post, registerReplica, syncResponse } from "../support/clients/RawVerdant.ts"
import { startServer } from "../support/servers/TestServer.ts"
import { libraryOn } from "../support/verdant/Library.ts"
import { initialize, makeReplica, set } from "../support/verdant/Replica.ts"

/** Longer than the time for which an unused library stays open. */
const A_WHILE = "90 seconds"

describe("idle libraries", () => {
  it.effect(
    "a library stays open while clients use it, closes after its last use, and opens again for the next client",
    () =>
      Effect.gen(function* () {
        yield* TestClock.setTime(Date.now())
        let timesOpened = 0
        const server = yield* startServer({
          logAs: (log) => ({
            ...log,
            // A library's opening begins with the look for its newest checkpoint.
            streams: (options) => {
              if (options.streamId === VERDANT) timesOpened += 1
              return log.streams(options)
            }
          })
        })
        const library = libraryOn(server)
        const token = yield* library.token({ userId: "a" })
        const [writer, reader] = [makeReplica(), makeReplica()]
        const begin = writer.sync({ operations: [writer.operation("item/x", initialize({ id: "x" }))] })
        yield* post(library, token, [begin])
        const socket = yield* connectVerdant(library, token)
        yield* registerReplica(socket, reader)

        const write = Effect.fnUntraced(function* (n: number) {
          const written = writer.operation("item/x", set("n", n))
          // A statement in flight while the clock jumps appears too slow, and is refused with 503.
          const answer = yield* post(library, token, [writer.op(written)]).pipe(
            Effect.repeat({ while: ({ status }) => status === 503 })
          )
          assert.strictEqual(answer.status, 200)
          return written.timestamp
        })
        // The socket stays silent for longer than that, several times.
        for (let n = 0; n < 5; n++) {
          yield* TestClock.adjust(A_WHILE)
          const timestamp = yield* write(n)
          yield* socket.next("op-re", (message) => JSON.stringify(message).includes(timestamp))
        }
        assert.strictEqual(timesOpened, 1)

        yield* socket.close
        // The server notices the close a little later, and counts from then.
        for (let n = 5; n < 50 && timesOpened === 1; n++) {
          yield* TestClock.adjust(A_WHILE)
          yield* write(n)
        }
        assert.strictEqual(timesOpened, 2)
        yield* TestClock.adjust(A_WHILE)
        const late = yield* post(library, token, [makeReplica().sync({ resyncAll: true })])
        const response = syncResponse(late)
        const operations = response?.["operations"] as ReadonlyArray<{ readonly data: { readonly n?: number } }>
        assert.isAbove(operations.length, 6)
        assert.deepStrictEqual(
          operations.slice(1).map(({ data }) => (data as { readonly value?: unknown }).value),
          operations.slice(1).map((_, n) => n)
        )
        assert.strictEqual(timesOpened, 3)
      })
  )
})
