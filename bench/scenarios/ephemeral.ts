/** 50 clients in one document send ten ephemeral messages a second each. */
import { startLoad } from "../harness/generator.ts"
import { inTurns, type Scenario, withServer } from "../harness/scenario.ts"
import { type ServerName, token } from "../harness/servers.ts"
import { median, sum } from "../harness/statistics.ts"
import type { EphemeralDone } from "../loads/ephemeral.ts"

const [CLIENTS, PER_SECOND] = [50, 10] as const

export const scenario: Scenario = {
  title: "Ephemeral messages",
  keys: ["server", "storage"],
  run: async (bench) => {
    const servers: ReadonlyArray<ServerName> = ["sealog", "secsync-server"]
    const variants = bench.storages.flatMap((storage) => servers.map((server) => ({ server, storage })))
    const measured = await inTurns(bench, variants, ({ server, storage }) =>
      withServer(server, storage, async ({ cpuSeconds, url }) => {
        const load = startLoad<EphemeralDone>("ephemeral", {
          url,
          token,
          clients: CLIENTS,
          perSecond: PER_SECOND,
          seconds: bench.seconds
        })
        await load.ready
        const before = cpuSeconds()
        load.go()
        const done = await load.done
        return { ...done, cpuSeconds: cpuSeconds() - before }
      })
    )
    return measured.map(([{ server, storage }, results]) => ({
      server,
      storage,
      "delivery p50 ms": median(results.map(({ deliveryP50 }) => deliveryP50)),
      "delivery p99 ms": median(results.map(({ deliveryP99 }) => deliveryP99)),
      "delivered %":
        (100 * sum(results.map(({ delivered }) => delivered))) / sum(results.map(({ expected }) => expected)),
      "server CPU µs/message": median(
        results.map(({ cpuSeconds }) => (cpuSeconds * 1e6) / (CLIENTS * PER_SECOND * bench.seconds))
      )
    }))
  }
}
