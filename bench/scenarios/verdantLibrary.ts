/** Measures how long a new device takes to receive a large Verdant library, and the memory for it. */
import { eachRound, inTurns, type Scenario } from "../harness/scenario.ts"
import { freshDatabase, type ServerName, type Storage, startServer, token } from "../harness/servers.ts"
import { median } from "../harness/statistics.ts"
import { cpuFigures, type UnderLoad, underLoad } from "../harness/underLoad.ts"
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
      const filling = await underLoad<VerdantFillDone>(filled, "verdantFill", { token, objects })
      const fillPeak = filled.peakRssBytes()
      bench.say(`filled in ${filling.seconds.toFixed(1)} s`)
      await filled.stop()

      const joined = await startServer(server, { database: database.url })
      const results: Array<VerdantJoinsDone & UnderLoad & { readonly peak: number }> = []
      const before = joined.rssBytes()
      for (const clients of [1, CLIENTS]) {
        const done = await underLoad<VerdantJoinsDone>(joined, "verdantJoins", { token, clients, objects })
        bench.say(`first syncs took ${done.times.map((time) => time.toFixed(0)).join(", ")} ms`)
        results.push({ ...done, peak: joined.peakRssBytes() })
      }
      await joined.remove()
      await database.remove()
      const [cold, warm] = results
      return {
        ...{ server, storage, objects },
        "fill s": filling.seconds,
        "fill peak RSS MB": fillPeak / MB,
        "fill, longest block ms": filling.longestBlock,
        "first sync MB": cold!.bytes / MB,
        "first sync, server just started ms": cold!.times[0] ?? Number.NaN,
        "first sync, then p50 ms": median(warm!.times),
        ...cpuFigures(warm!.cpu, "ms", "sync", CLIENTS),
        "longest block ms": Math.max(cold!.longestBlock, warm!.longestBlock),
        "RSS before MB": before / MB,
        "peak RSS after 1 MB": cold!.peak / MB,
        [`peak RSS after ${CLIENTS + 1} MB`]: warm!.peak / MB
      }
    })
  })
}
