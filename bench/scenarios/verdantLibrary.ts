/** Measures how long a new device takes to receive a large Verdant library, and the memory for it. */
import { generate, startLoad } from "../harness/generator.ts"
import { inTurns, type Scenario } from "../harness/scenario.ts"
import { freshDatabase, type ServerName, type Storage, startServer, token } from "../harness/servers.ts"
import { median } from "../harness/statistics.ts"
import type { VerdantFillDone } from "../loads/verdantFill.ts"
import type { VerdantJoinsDone } from "../loads/verdantJoins.ts"

const SIZES = [10_000, 100_000]
const CLIENTS = 10
const MB = 1e6

export const scenario: Scenario = {
  title: "Verdant: first syncs of a large library",
  keys: ["server", "storage", "objects"],
  run: async (bench) => {
    const servers: ReadonlyArray<{ readonly server: ServerName; readonly storage: Storage }> = [
      ...bench.storages.map((storage) => ({ server: "sealog" as const, storage })),
      { server: "verdant", storage: "sqlite" }
    ]
    const variants = SIZES.flatMap((objects) => servers.map((server) => ({ ...server, objects })))
    const measured = await inTurns(bench, variants, async ({ objects, server, storage }) => {
      const database = await freshDatabase(storage)
      const filled = await startServer(server, { database: database.url })
      const { seconds } = await generate<VerdantFillDone>("verdantFill", { url: filled.url, token, objects })
      const fillPeak = filled.peakRssBytes()
      bench.say(`filled in ${seconds.toFixed(1)} s`)
      await filled.stop()

      const { cpuSeconds, peakRssBytes, rssBytes, remove, url } = await startServer(server, { database: database.url })
      const results: Array<VerdantJoinsDone & { readonly peak: number; readonly cpu: number }> = []
      const before = rssBytes()
      for (const clients of [1, CLIENTS]) {
        const cpu = cpuSeconds()
        const load = startLoad<VerdantJoinsDone>("verdantJoins", { url, token, clients, objects })
        await load.ready
        load.go()
        const done = await load.done
        bench.say(`first syncs took ${done.times.map((time) => time.toFixed(0)).join(", ")} ms`)
        results.push({ ...done, peak: peakRssBytes(), cpu: (cpuSeconds() - cpu) / clients })
      }
      await remove()
      await database.remove()
      return { fillSeconds: seconds, fillPeak, before, cold: results[0]!, warm: results[1]! }
    })
    return measured.map(([{ objects, server, storage }, results]) => ({
      ...{ server, storage, objects },
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
