/** One writer sends 20 updates a second to many readers. */
import { startLoad } from "../harness/generator.ts"
import { inTurns, type Scenario, withServer } from "../harness/scenario.ts"
import { type ServerName, token } from "../harness/servers.ts"
import { median, sum } from "../harness/statistics.ts"
import type { FanoutDone } from "../loads/fanout.ts"

const PER_SECOND = 20
const MIN_SECONDS = 5

export const scenario: Scenario = {
  title: "Fan-out",
  keys: ["server", "storage", "readers"],
  run: async (bench) => {
    const variants = bench.storages.flatMap((storage) => [
      ...[1, 100, 1000].map((readers) => ({ server: "sealog" as ServerName, storage, readers })),
      { server: "secsync-server" as ServerName, storage, readers: 1000 }
    ])
    const measured = await inTurns(bench, variants, ({ readers, server, storage }) =>
      withServer(server, storage, async ({ cpuSeconds, url }) => {
        const load = startLoad<FanoutDone>("fanout", {
          url,
          token,
          readers,
          perSecond: PER_SECOND,
          seconds: Math.max(bench.seconds, MIN_SECONDS)
        })
        await load.ready
        const before = cpuSeconds()
        load.go()
        const done = await load.done
        return { ...done, cpuSeconds: cpuSeconds() - before }
      })
    )
    return measured.map(([{ readers, server, storage }, results]) => ({
      server,
      storage,
      readers,
      "delivery p50 ms": median(results.map(({ deliveryP50 }) => deliveryP50)),
      "delivery p99 ms": median(results.map(({ deliveryP99 }) => deliveryP99)),
      "server CPU µs/update": median(results.map(({ cpuSeconds, sent }) => (cpuSeconds * 1e6) / sent)),
      "server CPU µs/update and reader": median(
        results.map(({ cpuSeconds, sent }) => (cpuSeconds * 1e6) / sent / readers)
      ),
      "delivered %":
        (100 * sum(results.map(({ delivered }) => delivered))) / sum(results.map(({ sent }) => sent * readers))
    }))
  }
}
