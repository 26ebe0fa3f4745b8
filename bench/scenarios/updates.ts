/** Measures updates per second and the time to an acknowledgement, for documents with one writer and two readers. */
import { eachRound, inTurns, type Scenario, withServer } from "../harness/scenario.ts"
import { type BenchServer, type ServerName, type Storage, token } from "../harness/servers.ts"
import { verifiedPerSecond } from "../harness/signatures.ts"
import { cpuFigures, underLoad } from "../harness/underLoad.ts"
import type { Updates, UpdatesDone } from "../loads/updates.ts"

interface Variant {
  readonly server: ServerName
  readonly storage: Storage
  readonly documents: number
  readonly inFlight: number
}

const READERS = 2

/** The figures of a server under one load. Its processor time covers the writing alone. */
export const measureUpdates = async (server: BenchServer, load: Omit<Updates, "url" | "token">) => {
  // The yardstick: signatures per second that one core verifies just now, when it does nothing else.
  const verified = verifiedPerSecond(300)
  const done = await underLoad<UpdatesDone>(server, "updates", { ...load, token })
  const { ackP50, ackP99, cpu, delivered, failed, longestBlock, saved, seconds } = done
  return {
    "updates/s": saved / seconds,
    "ack p50 ms": ackP50,
    "ack p99 ms": ackP99,
    ...cpuFigures(cpu, "µs", "update", saved),
    "cores in use": cpu.server / seconds,
    "% of libsodium": (100 * saved) / (cpu.server * verified),
    "longest block ms": longestBlock,
    failed,
    "delivered %": load.readers === 0 ? Number.NaN : (100 * delivered) / (saved * load.readers)
  }
}

export const scenario: Scenario = {
  title: "Updates",
  keys: ["server", "storage", "documents", "in flight"],
  rounds: eachRound(async (bench) => {
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
    const rows = await inTurns(bench, variants, ({ documents, inFlight, server, storage }) =>
      withServer(server, storage, async (started) => ({
        ...{ server, storage, documents, "in flight": inFlight },
        ...(await measureUpdates(started, { documents, inFlight, readers: READERS, seconds: bench.seconds }))
      }))
    )
    return rows.map((row) => {
      const peer = rows.find(
        ({ documents, server, storage }) =>
          server === "secsync-server" && documents === row.documents && storage === row.storage
      )
      return { ...row, "× peer": row["updates/s"] / (peer?.["updates/s"] ?? Number.NaN) }
    })
  })
}
