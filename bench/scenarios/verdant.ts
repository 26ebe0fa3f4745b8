/** Measures operations of one Verdant library beside Verdant's own server, and the messages to clients for each. */
import { eachRound, inTurns, type Scenario, withServer } from "../harness/scenario.ts"
import { type ServerName, type Storage, tokenFor } from "../harness/servers.ts"
import { sum } from "../harness/statistics.ts"
import { cpuFigures, underLoad } from "../harness/underLoad.ts"
import type { VerdantOperationsDone } from "../loads/verdantOperations.ts"

const LOADS = [
  { clients: 2, writers: 1, inFlight: 1 },
  { clients: 2, writers: 1, inFlight: 16 },
  { clients: 20, writers: 1, inFlight: 16 },
  { clients: 20, writers: 20, inFlight: 1 }
]

export const scenario: Scenario = {
  title: "Verdant: operations of one library",
  keys: ["server", "storage", "clients", "writers", "in flight"],
  rounds: eachRound((bench) => {
    const servers: ReadonlyArray<{ readonly server: ServerName; readonly storage: Storage }> = [
      ...bench.storages.map((storage) => ({ server: "sealog" as const, storage })),
      { server: "verdant", storage: "sqlite" }
    ]
    const variants = LOADS.flatMap((load) => servers.map((server) => ({ ...server, ...load })))
    return inTurns(bench, variants, ({ clients, inFlight, server, storage, writers }) =>
      withServer(server, storage, async (started) => {
        const tokens = Array.from({ length: clients }, (_, i) => tokenFor(`user-${i}`))
        const load = { tokens, writers, inFlight, seconds: bench.seconds }
        const done = await underLoad<VerdantOperationsDone>(started, "verdantOperations", load)
        const { operations, received } = done
        const messages = sum(Object.values(received).map(({ messages }) => messages))
        const bytes = sum(Object.values(received).map(({ bytes }) => bytes))
        return {
          ...{ server, storage, clients, writers, "in flight": inFlight },
          "operations/s": operations / done.seconds,
          "ack p50 ms": done.ackP50,
          "ack p99 ms": done.ackP99,
          "delivery p50 ms": done.deliveryP50,
          "delivery p99 ms": done.deliveryP99,
          ...cpuFigures(done.cpu, "µs", "op", operations),
          "longest block ms": done.longestBlock,
          "messages/op": messages / operations,
          "messages/op and client": messages / operations / clients,
          "bytes/op and client": bytes / operations / clients,
          "global-acks/op and client": (received["global-ack"]?.messages ?? 0) / operations / clients
        }
      })
    )
  })
}
