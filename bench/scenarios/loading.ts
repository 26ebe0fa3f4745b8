/** Loads a document whose snapshot has gathered 1,000 updates, on a server that is warmed up. */
import { startLoad } from "../harness/generator.ts"
import { inTurns, type Scenario, withServer } from "../harness/scenario.ts"
import { type ServerName, token } from "../harness/servers.ts"
import { median } from "../harness/statistics.ts"
import type { LoadingDone } from "../loads/loading.ts"

/** Each load follows one more update. With those of the warm-up, a load has 1,000 updates on average. */
const [WARM_UP, LOADS] = [300, 100] as const
const TRAILING = 1000 - WARM_UP - LOADS / 2

export const scenario: Scenario = {
  title: "Loading a document with 1,000 trailing updates",
  keys: ["server", "storage", "load"],
  run: async (bench) => {
    const servers: ReadonlyArray<ServerName> = ["sealog", "secsync-server"]
    const variants = bench.storages.flatMap((storage) =>
      servers.flatMap((server) => [
        { server, storage, missing: undefined },
        { server, storage, missing: 10 }
      ])
    )
    const measured = await inTurns(bench, variants, ({ missing, server, storage }) =>
      withServer(server, storage, async ({ cpuSeconds, url }) => {
        const load = startLoad<LoadingDone>("loading", {
          url,
          token,
          trailing: TRAILING,
          missing,
          loads: LOADS,
          warmUp: WARM_UP
        })
        await load.ready
        const before = cpuSeconds()
        load.go()
        const done = await load.done
        return { ...done, cpuSeconds: cpuSeconds() - before }
      })
    )
    return measured.map(([{ missing, server, storage }, results]) => ({
      server,
      storage,
      load: missing === undefined ? "complete" : `delta of ${missing}`,
      "p50 ms": median(results.map(({ p50 }) => p50)),
      "p99 ms": median(results.map(({ p99 }) => p99)),
      // The load writes one update before each load, so that no frame is served from a cache.
      "server CPU ms/load": median(results.map(({ cpuSeconds, loads }) => (cpuSeconds * 1000) / loads))
    }))
  }
}
