/** Loads a document whose snapshot has gathered 1,000 updates, on a server that is warmed up. */
import { eachRound, inTurns, type Scenario, withServer } from "../harness/scenario.ts"
import { type ServerName, token } from "../harness/servers.ts"
import { cpuFigures, underLoad } from "../harness/underLoad.ts"
import type { LoadingDone } from "../loads/loading.ts"

/** Each load follows one more update. With those of the warm-up, a load has 1,000 updates on average. */
const [WARM_UP, LOADS] = [300, 100] as const
const TRAILING = 1000 - WARM_UP - LOADS / 2

export const scenario: Scenario = {
  title: "Loading a document with 1,000 trailing updates",
  keys: ["server", "storage", "load"],
  rounds: eachRound((bench) => {
    const servers: ReadonlyArray<ServerName> = ["sealog", "secsync-server"]
    const variants = bench.storages.flatMap((storage) =>
      servers.flatMap((server) => [
        { server, storage, missing: undefined },
        { server, storage, missing: 10 }
      ])
    )
    return inTurns(bench, variants, ({ missing, server, storage }) =>
      withServer(server, storage, async (started) => {
        const load = { token, trailing: TRAILING, missing, loads: LOADS, warmUp: WARM_UP }
        const { cpu, loads, longestBlock, p50, p99 } = await underLoad<LoadingDone>(started, "loading", load)
        return {
          ...{ server, storage, load: missing === undefined ? "complete" : `delta of ${missing}` },
          "p50 ms": p50,
          "p99 ms": p99,
          // The load writes one update before each load, so that no frame is served from a cache.
          ...cpuFigures(cpu, "ms", "load", loads),
          "longest block ms": longestBlock
        }
      })
    )
  })
}
