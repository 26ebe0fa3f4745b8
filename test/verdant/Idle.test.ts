/** A library is closed a while after its last use, and not before. The server's clock is the test's. */
import { assert, describe, it } from "@effect/vitest"
import { VERDANT } from "@sealog/server/domain/verdant/Events"
import { Effect } from "effect"
import { TestClock } from "effect/testing"
import { connectVerdant, post } from "../support/clients/RawVerdant.ts"
import { startServer } from "../support/servers/TestServer.ts"
import { libraryOn } from "../support/verdant/Library.ts"
import { initialize, makeReplica, set } from "../support/verdant/Replica.ts"

/** Longer than a library stays open for nobody. */
const A_WHILE = "90 seconds"

describe("D7 a library", () => {
  it.effect("D7 it stays open while it is used, is closed when it is not, and opened again for the next", () =>
    Effect.gen(function* () {
      yield* TestClock.setTime(Date.now())
      let timesOpened = 0
      const server = yield* startServer({
        logAs: (log) => ({
          ...log,
          tail: (key, options) => {
            if (key.streamId === VERDANT) timesOpened += 1
            return log.tail(key, options)
          }
        })
      })
      const library = libraryOn(server)
      const token = yield* library.token({ userId: "a" })
      const [writer, reader] = [makeReplica(), makeReplica()]
      const begin = writer.sync({ operations: [writer.operation("item/x", initialize({ id: "x" }))] })
      yield* post(library, token, [begin])
      const socket = yield* connectVerdant(library, token)
      socket.send(reader.sync({ resyncAll: true }))
      yield* socket.next("sync-resp")

      const write = Effect.fnUntraced(function* (n: number) {
        const written = writer.operation("item/x", set("n", n))
        // A statement that is under way as the clock jumps takes too long by it, and is refused for now.
        const answer = yield* post(library, token, [writer.op(written)]).pipe(
          Effect.repeat({ while: ({ status }) => status === 503 })
        )
        assert.strictEqual(answer.status, 200)
        return written.timestamp
      })
      // Nothing is said on the socket for longer than that, again and again.
      for (let n = 0; n < 5; n++) {
        yield* TestClock.adjust(A_WHILE)
        const timestamp = yield* write(n)
        yield* socket.next("op-re", (message) => JSON.stringify(message).includes(timestamp))
      }
      assert.strictEqual(timesOpened, 1)

      yield* socket.close
      // The server hears of it a little later, and only then begins to wait.
      for (let n = 5; n < 50 && timesOpened === 1; n++) {
        yield* TestClock.adjust(A_WHILE)
        yield* write(n)
      }
      assert.strictEqual(timesOpened, 2)
      yield* TestClock.adjust(A_WHILE)
      const late = yield* post(library, token, [makeReplica().sync({ resyncAll: true })])
      const response = late.messages.find(({ type }) => type === "sync-resp")
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
