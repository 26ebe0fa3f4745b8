/** The document to which every server process writes, so that its metrics know the lag from one end to the other. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { freePort } from "../support/network/freePort.ts"
import { runCommand, spawnServer } from "../support/servers/ServerProcess.ts"
import { scrape } from "../support/servers/scrape.ts"
import { freshStorage } from "../support/storage/databases.ts"
import { until } from "../support/until.ts"

/** Starts a server that writes to the canary each second. `measured` says how many writes of each kind it has measured. */
const startSinging = Effect.fnUntraced(function* (database: string) {
  const metricsPort = yield* Effect.promise(freePort)
  const server = yield* spawnServer(database, { args: ["--metrics-port", String(metricsPort), "--canary", "1s"] })
  const measured = (writer: "own" | "other") =>
    Effect.map(scrape({ metricsPort }), ({ value }) => value("sealog_canary_seconds_count", { writer }) ?? Number.NaN)
  return { ...server, measured }
})

describe("the canary", () => {
  it.live("is measured by the process that wrote it and by the others, and stays a sound document", () =>
    Effect.gen(function* () {
      const database = yield* freshStorage
      const first = yield* startSinging(database)
      const second = yield* startSinging(database)
      for (const { measured } of [first, second]) {
        for (const writer of ["own", "other"] as const) {
          yield* until(
            `writes of ${writer} are measured`,
            Effect.map(measured(writer), (count) => count >= 3)
          )
        }
      }
      yield* first.kill
      const before = yield* second.measured("own")
      yield* until(
        "the second goes on",
        Effect.map(second.measured("own"), (count) => count > before + 1)
      )
      const third = yield* startSinging(database)
      yield* until(
        "a process that starts later takes part",
        Effect.map(third.measured("own"), (count) => count >= 2)
      )
      yield* second.stop
      yield* third.stop
      const { exitCode, stdout, stderr } = yield* runCommand(database, "replay", "--verify")
      assert.strictEqual(exitCode, 0, stdout + stderr)
      const { libraries } = JSON.parse((yield* runCommand(database, "library", "list")).stdout)
      assert.deepStrictEqual(libraries, [])
    })
  )
})
