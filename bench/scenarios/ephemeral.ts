/** 50 clients in one document send ten ephemeral messages a second each. */
import { eachRound, inTurns, type Scenario, withServer } from "../harness/scenario.ts"
import { type ServerName, token } from "../harness/servers.ts"
import { cpuFigures, underLoad } from "../harness/underLoad.ts"
import type { EphemeralDone } from "../loads/ephemeral.ts"

const [CLIENTS, PER_SECOND] = [50, 10] as const

export const scenario: Scenario = {
  title: "Ephemeral messages",
  keys: ["server", "storage"],
  rounds: eachRound((bench) => {
    const servers: ReadonlyArray<ServerName> = ["sealog", "secsync-server"]
    const variants = bench.storages.flatMap((storage) => servers.map((server) => ({ server, storage })))
    return inTurns(bench, variants, ({ server, storage }) =>
      withServer(server, storage, async (started) => {
        const load = { token, clients: CLIENTS, perSecond: PER_SECOND, seconds: bench.seconds }
        const { cpu, delivered, deliveryP50, deliveryP99, expected, longestBlock } = await underLoad<EphemeralDone>(
          started,
          "ephemeral",
          load
        )
        return {
          ...{ server, storage },
          "delivery p50 ms": deliveryP50,
          "delivery p99 ms": deliveryP99,
          "delivered %": (100 * delivered) / expected,
          ...cpuFigures(cpu, "µs", "message", CLIENTS * PER_SECOND * bench.seconds),
          "longest block ms": longestBlock
        }
      })
    )
  })
}
