/** Measures `replay` of a whole log, which verifies all signatures. */
import { runCli } from "../harness/command.ts"
import { generate } from "../harness/generator.ts"
import { inTurns, type Scenario } from "../harness/scenario.ts"
import { type Storage, startServer, token } from "../harness/servers.ts"
import { verifiedPerSecond } from "../harness/signatures.ts"

const [DOCUMENTS, EACH] = [200, 500] as const

export const scenario: Scenario = {
  title: "Replay",
  keys: ["storage"],
  rounds: async function* (bench) {
    const servers = await Promise.all(bench.storages.map((storage) => startServer("sealog", { storage })))
    for (const { url } of servers) {
      await generate("updates", { url, token, documents: DOCUMENTS, inFlight: 16, readers: 0, each: EACH, seconds: 0 })
    }
    for (const { stop } of servers) await stop()
    const variants = bench.storages.map((storage, i) => ({ storage, database: servers[i]!.database }))
    try {
      while (true) yield await inTurns(bench, variants, measure)
    } finally {
      for (const { remove } of servers) await remove()
    }
  }
}

const measure = async ({ database, storage }: { readonly storage: Storage; readonly database: string }) => {
  const verified = verifiedPerSecond(500)
  const { cpuSeconds, seconds } = await runCli(database, "replay")
  const [rate, cores] = [(DOCUMENTS * (EACH + 1)) / seconds, cpuSeconds / seconds]
  return {
    storage,
    "events/s": rate,
    "CPU µs/event": (cpuSeconds * 1e6) / (DOCUMENTS * (EACH + 1)),
    "cores in use": cores,
    "% of libsodium on one core": (100 * rate) / verified,
    "% of libsodium on the cores in use": (100 * rate) / verified / cores
  }
}
