/** One writer sends 20 updates a second to many readers. */
import { eachRound, inTurns, type Scenario, withServer } from "../harness/scenario.ts"
import { type ServerName, token } from "../harness/servers.ts"
import { cpuFigures, underLoad } from "../harness/underLoad.ts"
import type { FanoutDone } from "../loads/fanout.ts"

const PER_SECOND = 20
const MIN_SECONDS = 5

export const scenario: Scenario = {
  title: "Fan-out",
  keys: ["server", "storage", "readers"],
  rounds: eachRound((bench) => {
    const variants = bench.storages.flatMap((storage) => [
      ...[1, 100, 1000].map((readers) => ({ server: "sealog" as ServerName, storage, readers })),
      { server: "secsync-server" as ServerName, storage, readers: 1000 }
    ])
    return inTurns(bench, variants, ({ readers, server, storage }) =>
      withServer(server, storage, async (started) => {
        const seconds = Math.max(bench.seconds, MIN_SECONDS)
        const load = { token, readers, perSecond: PER_SECOND, seconds }
        const { cpu, delivered, deliveryP50, deliveryP99, longestBlock, sent } = await underLoad<FanoutDone>(
          started,
          "fanout",
          load
        )
        return {
          ...{ server, storage, readers },
          "delivery p50 ms": deliveryP50,
          "delivery p99 ms": deliveryP99,
          ...cpuFigures(cpu, "µs", "update", sent),
          "server CPU µs/update and reader": (cpu.server * 1e6) / sent / readers,
          "longest block ms": longestBlock,
          "delivered %": (100 * delivered) / (sent * readers)
        }
      })
    )
  })
}
