/** Measures servers that do one part more of the work each, up to ours: the ceiling of each part on this machine. */
import { eachRound, inTurns, type Scenario, withServer } from "../harness/scenario.ts"
import type { ServerName } from "../harness/servers.ts"
import { measureUpdates } from "./updates.ts"

const SERVERS: ReadonlyArray<ServerName> = ["ws", "ws, insert", "ws, insert, verify", "sealog"]
const [DOCUMENTS, READERS] = [50, 2] as const
/** More than the first rung handles. */
const PER_SECOND = 40_000

export const scenario: Scenario = {
  title: `The ladder: ${DOCUMENTS} documents, ${READERS} readers each`,
  keys: ["server", "storage", "in flight"],
  rounds: eachRound(async (bench) => {
    const variants = bench.storages.flatMap((storage) =>
      [1, 16].flatMap((inFlight) => SERVERS.map((server) => ({ server, storage, inFlight })))
    )
    const rows = await inTurns(bench, variants, ({ inFlight, server, storage }) =>
      withServer(server, storage, async (started) => ({
        ...{ server, storage, "in flight": inFlight },
        ...(await measureUpdates(started, {
          ...{ documents: DOCUMENTS, inFlight, readers: READERS, seconds: bench.seconds },
          perSecond: PER_SECOND
        }))
      }))
    )
    return rows.map((row) => {
      const last = rows.find(
        ({ server, storage, ...other }) =>
          server === "ws, insert, verify" && storage === row.storage && other["in flight"] === row["in flight"]
      )
      return { ...row, "% of the last rung": (100 * row["updates/s"]) / (last?.["updates/s"] ?? Number.NaN) }
    })
  })
}
