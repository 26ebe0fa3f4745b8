/** 200 clients join one document, ten at a time. */
import { startLoad } from "../harness/generator.ts"
import { inTurns, type Scenario, withServer } from "../harness/scenario.ts"
import { type ServerName, token } from "../harness/servers.ts"
import { median } from "../harness/statistics.ts"
import type { JoinsDone } from "../loads/joins.ts"

const CLIENTS = 200
const AT_A_TIME = 10
const MB = 1e6

export const scenario: Scenario = {
  title: "Join storm",
  keys: ["server", "storage", "document MB"],
  run: async (bench) => {
    const variants = bench.storages.flatMap((storage) => [
      ...[1, 20].map((megabytes) => ({ server: "sealog" as ServerName, storage, megabytes })),
      { server: "secsync-server" as ServerName, storage, megabytes: 1 }
    ])
    const measured = await inTurns(bench, variants, ({ megabytes, server, storage }) =>
      withServer(server, storage, async ({ cpuSeconds, peakRssBytes, rssBytes, url }) => {
        const load = startLoad<JoinsDone>("joins", {
          url,
          token,
          clients: CLIENTS,
          atATime: AT_A_TIME,
          bytes: megabytes * MB
        })
        await load.ready
        const [cpu, rss] = [cpuSeconds(), rssBytes()]
        load.go()
        const done = await load.done
        return { ...done, rss, peakRss: peakRssBytes(), cpuSeconds: cpuSeconds() - cpu }
      })
    )
    return measured.map(([{ megabytes, server, storage }, results]) => ({
      server,
      storage,
      "document MB": megabytes,
      "join p50 ms": median(results.map(({ p50 }) => p50)),
      "join p99 ms": median(results.map(({ p99 }) => p99)),
      "all joined s": median(results.map(({ seconds }) => seconds)),
      "server CPU ms/join": median(results.map(({ cpuSeconds }) => (cpuSeconds * 1000) / CLIENTS)),
      "RSS before MB": median(results.map(({ rss }) => rss / MB)),
      "peak RSS MB": median(results.map(({ peakRss }) => peakRss / MB))
    }))
  }
}
