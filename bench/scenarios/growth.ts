/** Compares a log of 1,000,000 events in 100,000 documents with an empty one: time to start, and throughput. */
import { runCli } from "../harness/command.ts"
import { generate } from "../harness/generator.ts"
import { inTurns, type Scenario } from "../harness/scenario.ts"
import { freshDatabase, LIBRARY, type Storage, startServer } from "../harness/servers.ts"
import { measureUpdates } from "./updates.ts"

const DOCUMENTS = 100_000
const EVENTS_EACH = 10

export const scenario: Scenario = {
  title: "A log that has grown",
  keys: ["storage", "events before", "in flight"],
  rounds: async function* (bench) {
    const databases = await Promise.all(
      bench.storages.flatMap((storage) =>
        [0, DOCUMENTS].map(async (documents) => {
          const database = await freshDatabase(storage)
          await runCli(database.url, "migrate")
          return { storage, documents, ...database }
        })
      )
    )
    for (const { documents, storage, url } of databases) {
      if (documents === 0) continue
      bench.say(`filling ${storage}`)
      await generate("fill", { database: url, libraryId: LIBRARY, documents, events: EVENTS_EACH })
    }
    const variants = databases.flatMap((database) => [1, 16].map((inFlight) => ({ ...database, inFlight })))
    try {
      while (true) yield comparedToEmpty(await inTurns(bench, variants, (variant) => measure(variant, bench.seconds)))
    } finally {
      for (const { remove } of databases) await remove()
    }
  }
}

interface Variant {
  readonly storage: Storage
  readonly documents: number
  readonly inFlight: number
  readonly url: string
}

const measure = async ({ documents, inFlight, storage, url }: Variant, seconds: number) => {
  const begun = performance.now()
  const server = await startServer("sealog", { database: url })
  const startSeconds = (performance.now() - begun) / 1000
  try {
    const figures = await measureUpdates(server, { documents: 50, inFlight, readers: 2, seconds })
    return {
      ...{ storage, "events before": documents * EVENTS_EACH, "in flight": inFlight },
      "start s": startSeconds,
      "peak RSS MB": server.peakRssBytes() / 1e6,
      ...figures
    }
  } finally {
    await server.remove()
  }
}

const comparedToEmpty = (rows: ReadonlyArray<Awaited<ReturnType<typeof measure>>>) =>
  rows.map((row) => {
    const empty = rows.find(
      (other) =>
        other["events before"] === 0 && other.storage === row.storage && other["in flight"] === row["in flight"]
    )
    return { ...row, "% of empty": (100 * row["updates/s"]) / (empty?.["updates/s"] ?? Number.NaN) }
  })
