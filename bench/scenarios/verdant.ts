/** Measures operations of one Verdant library beside Verdant's own server, and the messages to clients for each. */
import { startLoad } from "../harness/generator.ts"
import { inTurns, type Scenario, withServer } from "../harness/scenario.ts"
import { type ServerName, type Storage, tokenFor } from "../harness/servers.ts"
import { median, sum } from "../harness/statistics.ts"
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
  run: async (bench) => {
    const servers: ReadonlyArray<{ readonly server: ServerName; readonly storage: Storage }> = [
      ...bench.storages.map((storage) => ({ server: "sealog" as const, storage })),
      { server: "verdant", storage: "sqlite" }
    ]
    const variants = LOADS.flatMap((load) => servers.map((server) => ({ ...server, ...load })))
    const measured = await inTurns(bench, variants, ({ clients, inFlight, server, storage, writers }) =>
      withServer(server, storage, async ({ cpuSeconds, url }) => {
        const tokens = Array.from({ length: clients }, (_, i) => tokenFor(`user-${i}`))
        const load = startLoad<VerdantOperationsDone>("verdantOperations", {
          ...{ url, tokens, writers, inFlight },
          seconds: bench.seconds
        })
        await load.ready
        const before = cpuSeconds()
        load.go()
        const done = await load.done
        return { ...done, cpuSeconds: cpuSeconds() - before }
      })
    )
    return measured.map(([{ clients, inFlight, server, storage, writers }, results]) => {
      const perOperation = (count: (done: VerdantOperationsDone) => number) =>
        median(results.map((done) => count(done) / done.operations))
      const each = (count: (done: VerdantOperationsDone) => number) => perOperation(count) / clients
      return {
        ...{ server, storage, clients, writers, "in flight": inFlight },
        "operations/s": median(results.map(({ operations, seconds }) => operations / seconds)),
        "ack p50 ms": median(results.map(({ ackP50 }) => ackP50)),
        "ack p99 ms": median(results.map(({ ackP99 }) => ackP99)),
        "delivery p50 ms": median(results.map(({ deliveryP50 }) => deliveryP50)),
        "delivery p99 ms": median(results.map(({ deliveryP99 }) => deliveryP99)),
        "server CPU µs/op": median(results.map(({ cpuSeconds, operations }) => (cpuSeconds * 1e6) / operations)),
        "messages/op": perOperation((done) => sum(Object.values(done.received).map(({ messages }) => messages))),
        "messages/op and client": each((done) => sum(Object.values(done.received).map(({ messages }) => messages))),
        "bytes/op and client": each((done) => sum(Object.values(done.received).map(({ bytes }) => bytes))),
        "global-acks/op and client": each(({ received }) => received["global-ack"]?.messages ?? 0)
      }
    })
  }
}
