/** Measures how long a new device takes to receive a large Verdant library, and the memory for it. */
import { generate, startLoad } from "../harness/generator.ts"
import { eachRound, inTurns, type Scenario } from "../harness/scenario.ts"
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
  rounds: eachRound((bench) => {
    const servers: ReadonlyArray<{ readonly server: ServerName; readonly storage: Storage }> = [
      ...bench.storages.map((storage) => ({ server: "sealog" as const, storage })),
      { server: "verdant", storage: "sqlite" }
    ]
    const variants = SIZES.flatMap((objects) => servers.map((server) => ({ ...server, objects })))
    return inTurns(bench, variants, async ({ objects, server, storage }) => {
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
      const [cold, warm] = results
      return {
        ...{ server, storage, objects },
        "fill s": seconds,
        "fill peak RSS MB": fillPeak / MB,
        "first sync MB": cold!.bytes / MB,
        "first sync, server just started ms": cold!.times[0] ?? Number.NaN,
        "first sync, then p50 ms": median(warm!.times),
        "server CPU ms/sync": warm!.cpu * 1000,
        "RSS before MB": before / MB,
        "peak RSS after 1 MB": cold!.peak / MB,
        [`peak RSS after ${CLIENTS + 1} MB`]: warm!.peak / MB
      }
    })
  })
}
