/** Measures the memory that stays after 100,000 documents were opened once each. */
import { setTimeout as sleep } from "node:timers/promises"
import { runCli } from "../harness/command.ts"
import { generate } from "../harness/generator.ts"
import { eachRound, inTurns, type Scenario } from "../harness/scenario.ts"
import { freshDatabase, LIBRARY, startServer, token } from "../harness/servers.ts"
import { cpuFigures, underLoad } from "../harness/underLoad.ts"
import type { TouchDone } from "../loads/touch.ts"

const DOCUMENTS = 100_000
/** Longer than the ten seconds for which a room stays open after its last connection. */
const ROOMS_IDLE = 20_000

export const scenario: Scenario = {
  title: "100,000 documents touched once",
  keys: ["storage"],
  rounds: eachRound((bench) => {
    const variants = bench.storages.map((storage) => ({ storage }))
    return inTurns(bench, variants, async ({ storage }) => {
      const database = await freshDatabase(storage)
      await runCli(database.url, "migrate")
      await generate("fill", { database: database.url, libraryId: LIBRARY, documents: DOCUMENTS, events: 2 })
      const server = await startServer("sealog", { database: database.url })
      const before = server.rssBytes()
      const load = { token, documents: DOCUMENTS, atATime: 20 }
      const { cpu, longestBlock, seconds } = await underLoad<TouchDone>(server, "touch", load)
      await sleep(ROOMS_IDLE)
      const [peak, after] = [server.peakRssBytes(), server.rssBytes()]
      await server.remove()
      await database.remove()
      return {
        storage,
        "opened/s": DOCUMENTS / seconds,
        ...cpuFigures(cpu, "µs", "document", DOCUMENTS),
        "longest block ms": longestBlock,
        "RSS before MB": before / 1e6,
        "peak RSS MB": peak / 1e6,
        "RSS 20 s later MB": after / 1e6
      }
    })
  })
}
