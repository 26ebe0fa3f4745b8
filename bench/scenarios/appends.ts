/** Measures the log alone: batches of appends to 50 libraries, without a server. */
import { runCli } from "../harness/command.ts"
import { generate } from "../harness/generator.ts"
import { eachRound, inTurns, type Scenario } from "../harness/scenario.ts"
import { freshDatabase, type Storage } from "../harness/servers.ts"
import type { AppendsDone } from "../loads/appends.ts"

const LIBRARIES = 50

/** URLs of migrated databases by the names that BENCH_DATABASES gives them: NAME=URL, with commas between them. */
const named = new Map(
  (process.env["BENCH_DATABASES"] ?? "").split(",").flatMap((text) => {
    const [, name, url] = /^([^=]+)=(.+)$/.exec(text) ?? []
    return name === undefined || url === undefined ? [] : [[name, url] as const]
  })
)

const open = async (storage: string) => {
  const url = named.get(storage)
  if (url !== undefined) return { url, remove: async () => {} }
  const database = await freshDatabase(storage as Storage)
  await runCli(database.url, "migrate")
  return database
}

export const scenario: Scenario = {
  title: `Appends to ${LIBRARIES} libraries`,
  keys: ["storage", "updates of a library"],
  rounds: eachRound((bench) => {
    const variants = [1, 4, 16].flatMap((updates) =>
      [...bench.storages, ...named.keys()].map((storage) => ({ storage, updates }))
    )
    return inTurns(bench, variants, async ({ storage, updates }) => {
      const { remove, url } = await open(storage)
      const load = { database: url, libraries: LIBRARIES, updates, seconds: bench.seconds }
      const done = await generate<AppendsDone>("appends", load)
      await remove()
      return {
        storage,
        "updates of a library": updates,
        "updates/s": done.updates / done.seconds,
        "client CPU µs/update": (done.cpuSeconds * 1e6) / done.updates
      }
    })
  })
}
