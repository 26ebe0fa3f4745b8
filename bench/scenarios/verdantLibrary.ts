/** A Verdant library of 100,000 objects: how long a new device takes to have it, and what it costs in memory. */
import { generate, startLoad } from "../harness/generator.ts"
import { inTurns, type Scenario } from "../harness/scenario.ts"
import { freshDatabase, type ServerName, type Storage, startServer, token } from "../harness/servers.ts"
import { median } from "../harness/statistics.ts"
import type { VerdantFillDone } from "../loads/verdantFill.ts"
import type { VerdantJoinsDone } from "../loads/verdantJoins.ts"

const OBJECTS = 100_000
const CLIENTS = 10
const MB = 1e6

export const scenario: Scenario = {
  title: "Verdant: a library of 100,000 objects",
  keys: ["server", "storage"],
  run: async (bench) => {
    const servers: ReadonlyArray<{ readonly server: ServerName; readonly storage: Storage }> = [
      ...bench.storages.map((storage) => ({ server: "sealog" as const, storage })),
      { server: "verdant", storage: "sqlite" }
    ]
    const measured = await inTurns({ ...bench, rounds: 1 }, servers, async ({ server, storage }) => {
      const database = await freshDatabase(storage)
      const filled = await startServer(server, { database: database.url })
      const { seconds } = await generate<VerdantFillDone>("verdantFill", { url: filled.url, token, objects: OBJECTS })
      const fillPeak = filled.peakRssBytes()
      await filled.stop()

      const { cpuSeconds, peakRssBytes, rssBytes, remove, url } = await startServer(server, { database: database.url })
      const results: Array<VerdantJoinsDone & { readonly peak: number; readonly cpu: number }> = []
      const before = rssBytes()
      for (const clients of [1, CLIENTS]) {
        const cpu = cpuSeconds()
        const load = startLoad<VerdantJoinsDone>("verdantJoins", { url, token, clients, objects: OBJECTS })
        await load.ready
        load.go()
        const done = await load.done
        results.push({ ...done, peak: peakRssBytes(), cpu: (cpuSeconds() - cpu) / clients })
      }
      await remove()
      await database.remove()
      return { fillSeconds: seconds, fillPeak, before, cold: results[0]!, warm: results[1]! }
    })
    return measured.map(([{ server, storage }, results]) => ({
      ...{ server, storage },
      "fill s": median(results.map(({ fillSeconds }) => fillSeconds)),
      "fill peak RSS MB": median(results.map(({ fillPeak }) => fillPeak / MB)),
      "first sync MB": median(results.map(({ cold }) => cold.bytes / MB)),
      "first sync, server just started ms": median(results.map(({ cold }) => cold.times[0] ?? Number.NaN)),
      "first sync, then p50 ms": median(results.flatMap(({ warm }) => warm.times)),
      "server CPU ms/sync": median(results.map(({ warm }) => warm.cpu * 1000)),
      "RSS before MB": median(results.map(({ before }) => before / MB)),
      "peak RSS after 1 MB": median(results.map(({ cold }) => cold.peak / MB)),
      [`peak RSS after ${CLIENTS + 1} MB`]: median(results.map(({ warm }) => warm.peak / MB))
    }))
  }
}
