/** 200 clients join one document, ten at a time. */
import { eachRound, inTurns, type Scenario, withServer } from "../harness/scenario.ts"
import { type ServerName, token } from "../harness/servers.ts"
import { cpuFigures, underLoad } from "../harness/underLoad.ts"
import type { JoinsDone } from "../loads/joins.ts"

const CLIENTS = 200
const AT_A_TIME = 10
const MB = 1e6

export const scenario: Scenario = {
  title: "Join storm",
  keys: ["server", "storage", "document MB"],
  rounds: eachRound((bench) => {
    const variants = bench.storages.flatMap((storage) => [
      ...[1, 20].map((megabytes) => ({ server: "sealog" as ServerName, storage, megabytes })),
      { server: "secsync-server" as ServerName, storage, megabytes: 1 }
    ])
    return inTurns(bench, variants, ({ megabytes, server, storage }) =>
      withServer(server, storage, async (started) => {
        const load = { token, clients: CLIENTS, atATime: AT_A_TIME, bytes: megabytes * MB }
        const { cpu, longestBlock, longestBlockBefore, p50, p99, seconds } = await underLoad<JoinsDone>(
          started,
          "joins",
          load
        )
        return {
          ...{ server, storage, "document MB": megabytes },
          "join p50 ms": p50,
          "join p99 ms": p99,
          "all joined s": seconds,
          ...cpuFigures(cpu, "ms", "join", CLIENTS),
          "longest block, stored, ms": longestBlockBefore,
          "longest block ms": longestBlock,
          "peak RSS MB": started.peakRssBytes() / MB
        }
      })
    )
  })
}
