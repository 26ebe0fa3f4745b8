/** Bytes of a library's data that change: it is not served, other libraries are, and its devices bring it back. */
import { assert, it } from "@effect/vitest"
import { VERDANT } from "@sealog/server/domain/verdant/Events"
import { Effect, Exit, Scope } from "effect"
import { connectVerdant } from "../support/clients/RawVerdant.ts"
import { runCommand } from "../support/servers/ServerProcess.ts"
import { startServer } from "../support/servers/TestServer.ts"
import { changePayload } from "../support/storage/damage.ts"
import { freshStorage } from "../support/storage/databases.ts"
import { until } from "../support/until.ts"
import { libraryOn } from "../support/verdant/Library.ts"
import { contents, openClient, openClients, untilSame } from "../support/verdant/VerdantClient.ts"

it.live(
  "a damaged library closes its clients with 1011, others go on, and after an eviction its devices bring it back",
  () =>
    Effect.gen(function* () {
      const database = yield* freshStorage
      const scope = yield* Scope.make()
      const first = yield* Scope.provide(startServer({ database }), scope)
      const [damaged, intact] = [libraryOn(first), libraryOn(first)]
      const [device] = yield* openClients(["a"], { library: damaged })
      const [other] = yield* openClients(["b"], { library: intact })
      for (const client of [device, other]) {
        yield* client.put({ content: "first" })
        yield* client.put({ content: "second" })
        yield* client.until("it is stored", (items) => items.length === 2 && client.isSettled())
      }
      yield* Scope.close(scope, Exit.void)
      // The first version with a payload: the device's own operations.
      yield* changePayload(database, { libraryId: damaged.id, streamId: VERDANT }, 2)

      yield* startServer({ database, port: first.port })
      const token = yield* damaged.token({ userId: "c" })
      const refused = yield* connectVerdant(damaged, token)
      assert.deepStrictEqual(yield* refused.closed, { code: 1011, reason: "the log is damaged" })
      yield* other.put({ content: "third" })
      const newcomer = yield* openClient({ library: intact, user: "c" })
      yield* newcomer.until("it has all", (items) => items.length === 3)

      const evicted = yield* runCommand(database, "evict", damaged.id, "--yes")
      assert.strictEqual(evicted.exitCode, 0, evicted.stdout + evicted.stderr)
      yield* until("the device is back", () => device.restores() > 0 && device.isOnline())
      const later = yield* openClient({ library: damaged, user: "c" })
      yield* later.until("it has all", (items) => items.length === 2)
      assert.deepStrictEqual(contents(yield* untilSame([device, later])), ["first", "second"])
    })
)
