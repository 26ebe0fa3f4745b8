/** Measures updates until a reader has them, beside servers that see the contents and verify no signatures. */
import { startLoad } from "../harness/generator.ts"
import { inTurns, type Scenario, withServer } from "../harness/scenario.ts"
import { type ServerName, type Storage, token } from "../harness/servers.ts"
import { median } from "../harness/statistics.ts"
import type { Delivery, DeliveryDone } from "../loads/delivery.ts"

interface Peer {
  readonly server: ServerName
  readonly storage: Storage
  readonly protocol: Delivery["protocol"]
  readonly keeps: string
  readonly verifies: string
}

const PEERS: ReadonlyArray<Peer> = [
  { server: "sealog", storage: "sqlite", protocol: "secsync", keeps: "each, durably", verifies: "yes" },
  { server: "sealog, not verifying", storage: "sqlite", protocol: "secsync", keeps: "each, durably", verifies: "no" },
  {
    server: "hocuspocus",
    storage: "sqlite",
    protocol: "hocuspocus",
    keeps: "after 2 s, the last state",
    verifies: "no"
  },
  { server: "y-websocket", storage: "sqlite", protocol: "y-websocket", keeps: "in memory", verifies: "no" }
]

const DOCUMENTS = 50

export const scenario: Scenario = {
  title: "Beside servers that verify nothing",
  keys: ["server", "verifies", "keeps", "in flight"],
  run: async (bench) => {
    const variants = PEERS.flatMap((peer) => [1, 16].map((inFlight) => ({ ...peer, inFlight })))
    const measured = await inTurns(bench, variants, ({ inFlight, protocol, server, storage }) =>
      withServer(server, storage, async ({ cpuSeconds, url }) => {
        const load = startLoad<DeliveryDone>("delivery", {
          url,
          token,
          protocol,
          documents: DOCUMENTS,
          inFlight,
          seconds: bench.seconds
        })
        await load.ready
        const before = cpuSeconds()
        load.go()
        const done = await load.done
        return { ...done, cpuSeconds: cpuSeconds() - before }
      })
    )
    return measured.map(([{ inFlight, keeps, server, verifies }, results]) => ({
      server,
      verifies,
      keeps,
      "in flight": inFlight,
      "delivered/s": median(results.map(({ delivered, seconds }) => delivered / seconds)),
      "delivery p50 ms": median(results.map(({ p50 }) => p50)),
      "delivery p99 ms": median(results.map(({ p99 }) => p99)),
      "server CPU µs/update": median(results.map(({ cpuSeconds, delivered }) => (cpuSeconds * 1e6) / delivered))
    }))
  }
}
