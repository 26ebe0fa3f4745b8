/** Measures updates per second and the time to an acknowledgement, for documents with one writer and two readers. */
import { startLoad } from "../harness/generator.ts"
import { inTurns, type Scenario, withServer } from "../harness/scenario.ts"
import { type BenchServer, type ServerName, type Storage, token } from "../harness/servers.ts"
import { verifiedPerSecond } from "../harness/signatures.ts"
import { median, sum } from "../harness/statistics.ts"
import type { Updates, UpdatesDone } from "../loads/updates.ts"

interface Variant {
  readonly server: ServerName
  readonly storage: Storage
  readonly documents: number
  readonly inFlight: number
}

const READERS = 2

export interface Measured extends UpdatesDone {
  readonly cpuSeconds: number
  /** Signatures per second that one core verified just before, when it did nothing else. */
  readonly verified: number
}

/** Measures one load. The server's processor time covers the writing alone. */
export const measureUpdates = async (server: BenchServer, load: Omit<Updates, "url" | "token">): Promise<Measured> => {
  const verified = verifiedPerSecond(300)
  const running = startLoad<UpdatesDone>("updates", { ...load, url: server.url, token })
  await running.ready
  const before = server.cpuSeconds()
  running.go()
  const done = await running.done
  return { ...done, cpuSeconds: server.cpuSeconds() - before, verified }
}

export const figures = (measured: ReadonlyArray<Measured>, readers: number) => ({
  "updates/s": median(measured.map(({ saved, seconds }) => saved / seconds)),
  "ack p50 ms": median(measured.map(({ ackP50 }) => ackP50)),
  "ack p99 ms": median(measured.map(({ ackP99 }) => ackP99)),
  "server CPU µs/update": median(measured.map(({ cpuSeconds, saved }) => (cpuSeconds * 1e6) / saved)),
  "cores in use": median(measured.map(({ cpuSeconds, seconds }) => cpuSeconds / seconds)),
  /** In percent of the rate at which the cores in use verify signatures when they do nothing else. */
  "% of signatures alone": median(
    measured.map(({ cpuSeconds, saved, verified }) => (100 * saved) / (cpuSeconds * verified))
  ),
  failed: sum(measured.map(({ failed }) => failed)),
  "delivered %":
    readers === 0
      ? Number.NaN
      : (100 * sum(measured.map(({ delivered }) => delivered))) / sum(measured.map(({ saved }) => saved * readers))
})

export const scenario: Scenario = {
  title: "Updates",
  keys: ["server", "storage", "documents", "in flight"],
  run: async (bench) => {
    const variants = bench.storages.flatMap((storage) =>
      [1, 10, 50, 1000].flatMap((documents): ReadonlyArray<Variant> => {
        const of = (server: ServerName, inFlight: number) => ({ server, storage, documents, inFlight })
        return [
          of("sealog", 1),
          of("sealog", 16),
          // The peer handles the frames of a connection concurrently and refuses updates that overtake others, so one in flight.
          of("secsync-server", 1),
          ...(storage === "postgres" ? [of("secsync-server, bare SQL", 1)] : [])
        ]
      })
    )
    const measured = await inTurns(bench, variants, ({ documents, inFlight, server, storage }) =>
      withServer(server, storage, (started) =>
        measureUpdates(started, { documents, inFlight, readers: READERS, seconds: bench.seconds })
      )
    )
    const rows = measured.map(([{ documents, inFlight, server, storage }, results]) => ({
      server,
      storage,
      documents,
      "in flight": inFlight,
      ...figures(results, READERS)
    }))
    return rows.map((row) => {
      const peer = rows.find(
        ({ documents, server, storage }) =>
          server === "secsync-server" && documents === row.documents && storage === row.storage
      )
      return { ...row, "× peer": row["updates/s"] / (peer?.["updates/s"] ?? Number.NaN) }
    })
  }
}
