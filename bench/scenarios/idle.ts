/** Measures the memory of 10,000 idle connections on 1,000 documents. */
import { setTimeout as sleep } from "node:timers/promises"
import { startLoad } from "../harness/generator.ts"
import { eachRound, inTurns, type Scenario, withServer } from "../harness/scenario.ts"
import { token } from "../harness/servers.ts"

const DOCUMENTS = 1000
const CONNECTIONS = 9_990

export const scenario: Scenario = {
  title: "Idle connections",
  keys: ["storage", "connections"],
  rounds: eachRound(async (bench) => {
    const variants = bench.storages.flatMap((storage) =>
      // One connection per document is the base line: it contains the cost of the documents.
      [DOCUMENTS, CONNECTIONS].map((connections) => ({ storage, connections }))
    )
    const rows = await inTurns(bench, variants, ({ connections, storage }) =>
      withServer("sealog", storage, async ({ cpuSeconds, longestBlock, rssBytes, url }) => {
        await longestBlock()
        const load = startLoad("idle", { url, token, connections, documents: DOCUMENTS, seconds: bench.seconds })
        await load.ready
        const connecting = await longestBlock()
        await sleep(2000)
        const before = cpuSeconds()
        load.go()
        await load.done
        return {
          ...{ storage, connections, "RSS MB": rssBytes() / 1e6 },
          "CPU %": (100 * (cpuSeconds() - before)) / bench.seconds,
          "longest block, connecting, ms": connecting
        }
      })
    )
    return rows.map((row) => {
      const base = rows.find(({ connections, storage }) => connections === DOCUMENTS && storage === row.storage)
      const kilobytes = (row["RSS MB"] - (base?.["RSS MB"] ?? Number.NaN)) * 1000
      return { ...row, "KB/connection": row === base ? Number.NaN : kilobytes / (row.connections - DOCUMENTS) }
    })
  })
}
