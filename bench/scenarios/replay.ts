/** Measures `replay` of a whole log, signatures included. */
import { runCli } from "../harness/command.ts"
import { generate } from "../harness/generator.ts"
import { inTurns, type Scenario } from "../harness/scenario.ts"
import { startServer, token } from "../harness/servers.ts"
import { verifiedPerSecond } from "../harness/signatures.ts"
import { median } from "../harness/statistics.ts"

const [DOCUMENTS, EACH] = [200, 500] as const

export const scenario: Scenario = {
  title: "Replay",
  keys: ["storage"],
  run: async (bench) => {
    const servers = await Promise.all(bench.storages.map((storage) => startServer("sealog", { storage })))
    for (const { url } of servers) {
      await generate("updates", { url, token, documents: DOCUMENTS, inFlight: 16, readers: 0, each: EACH, seconds: 0 })
    }
    for (const { stop } of servers) await stop()
    const variants = bench.storages.map((storage, i) => ({ storage, database: servers[i]!.database }))
    const measured = await inTurns(bench, variants, async ({ database }) => {
      const verified = verifiedPerSecond(500)
      const { cpuSeconds, seconds } = await runCli(database, "replay")
      return { rate: (DOCUMENTS * (EACH + 1)) / seconds, cores: cpuSeconds / seconds, verified }
    })
    for (const { remove } of servers) await remove()
    return measured.map(([{ storage }, results]) => ({
      storage,
      "events/s": median(results.map(({ rate }) => rate)),
      "cores in use": median(results.map(({ cores }) => cores)),
      "% of one core's signatures alone": median(results.map(({ rate, verified }) => (100 * rate) / verified)),
      "% of the used cores' signatures alone": median(
        results.map(({ cores, rate, verified }) => (100 * rate) / verified / cores)
      )
    }))
  }
}
