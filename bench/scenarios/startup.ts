/** Measures commands that have little to do, beside bare Node. The difference is the code that they load. */
import { runNode } from "../harness/command.ts"
import { inTurns, type Scenario } from "../harness/scenario.ts"
import { cli, freshDatabase, LIBRARY, startServer } from "../harness/servers.ts"

const BARE = "node --eval 0"
const COMMANDS: Readonly<Record<string, ReadonlyArray<string>>> = {
  [BARE]: ["--eval", "0"],
  "--version": cli("--version"),
  "--help": cli("--help"),
  "token mint": cli("token", "mint", "--library", LIBRARY, "--user", "ada"),
  "library list": cli("library", "list"),
  stats: cli("stats"),
  replay: cli("replay")
}
const SERVE = "serve, until it listens and stops"

const measure = async (command: string, database: string) => {
  const args = COMMANDS[command]
  if (args !== undefined) {
    const { cpuSeconds, seconds } = await runNode(args, {
      DATABASE_URL: database,
      TOKEN_SECRET: "a-secret-that-only-the-bench-has-and-forgets"
    })
    return { seconds, cpuSeconds }
  }
  const start = performance.now()
  const server = await startServer("sealog", { database })
  await server.stop()
  return { seconds: (performance.now() - start) / 1000, cpuSeconds: Number.NaN }
}

export const scenario: Scenario = {
  title: "The start of commands",
  keys: ["command", "storage"],
  rounds: async function* (bench) {
    const databases = await Promise.all(bench.storages.map(freshDatabase))
    for (const { url } of databases) await runNode(cli("migrate"), { DATABASE_URL: url })
    const variants = bench.storages.flatMap((storage, i) =>
      [...Object.keys(COMMANDS), SERVE].map((command) => ({ command, storage, database: databases[i]!.url }))
    )
    // Fills the compile cache.
    for (const { command, database } of variants) await measure(command, database)
    try {
      while (true) {
        const rows = await inTurns(bench, variants, async ({ command, database, storage }) => {
          const { cpuSeconds, seconds } = await measure(command, database)
          return { command, storage, ms: seconds * 1000, "CPU ms": cpuSeconds * 1000 }
        })
        yield rows.map((row) => {
          const bare = rows.find(({ command, storage }) => command === BARE && storage === row.storage)
          return {
            ...row,
            "× bare Node": row.ms / (bare?.ms ?? Number.NaN),
            "CPU, × bare Node": row["CPU ms"] / (bare?.["CPU ms"] ?? Number.NaN)
          }
        })
      }
    } finally {
      for (const { remove } of databases) await remove()
    }
  }
}
