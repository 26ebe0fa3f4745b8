/** Measures the memory of 10,000 idle connections on 1,000 documents. */
import { setTimeout as sleep } from "node:timers/promises"
import { startLoad } from "../harness/generator.ts"
import { inTurns, type Scenario, withServer } from "../harness/scenario.ts"
import { token } from "../harness/servers.ts"
import { median } from "../harness/statistics.ts"

const DOCUMENTS = 1000
const CONNECTIONS = 9_990

export const scenario: Scenario = {
  title: "Idle connections",
  keys: ["storage", "connections"],
  run: async (bench) => {
    const variants = bench.storages.flatMap((storage) =>
      // One connection per document is the base line: it contains the cost of the documents.
      [DOCUMENTS, CONNECTIONS].map((connections) => ({ storage, connections }))
    )
    const measured = await inTurns(bench, variants, ({ connections, storage }) =>
      withServer("sealog", storage, async ({ cpuSeconds, rssBytes, url }) => {
        const load = startLoad("idle", { url, token, connections, documents: DOCUMENTS, seconds: bench.seconds })
        await load.ready
        await sleep(2000)
        const before = cpuSeconds()
        load.go()
        await load.done
        return { cpu: (cpuSeconds() - before) / bench.seconds, rss: rssBytes() }
      })
    )
    const rssOf = (storage: string, connections: number) =>
      median(
        measured.flatMap(([variant, results]) =>
          variant.storage === storage && variant.connections === connections ? results.map(({ rss }) => rss) : []
        )
      )
    return measured.map(([{ connections, storage }, results]) => ({
      storage,
      connections,
      "RSS MB": median(results.map(({ rss }) => rss)) / 1e6,
      "KB/connection":
        connections === DOCUMENTS
          ? Number.NaN
          : (rssOf(storage, connections) - rssOf(storage, DOCUMENTS)) / (connections - DOCUMENTS) / 1000,
      "CPU %": median(results.map(({ cpu }) => cpu * 100))
    }))
  }
}
