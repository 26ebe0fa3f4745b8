/** Measures updates until a reader has them, beside servers that see the contents and verify no signatures. */
import { eachRound, inTurns, type Scenario, withServer } from "../harness/scenario.ts"
import { type ServerName, type Storage, token } from "../harness/servers.ts"
import { cpuFigures, underLoad } from "../harness/underLoad.ts"
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
  rounds: eachRound((bench) => {
    const variants = PEERS.flatMap((peer) => [1, 16].map((inFlight) => ({ ...peer, inFlight })))
    return inTurns(bench, variants, ({ inFlight, keeps, protocol, server, storage, verifies }) =>
      withServer(server, storage, async (started) => {
        const load = { token, protocol, documents: DOCUMENTS, inFlight, seconds: bench.seconds }
        const { cpu, delivered, longestBlock, p50, p99, seconds } = await underLoad<DeliveryDone>(
          started,
          "delivery",
          load
        )
        return {
          ...{ server, verifies, keeps, "in flight": inFlight },
          "delivered/s": delivered / seconds,
          "delivery p50 ms": p50,
          "delivery p99 ms": p99,
          ...cpuFigures(cpu, "µs", "update", delivered),
          "longest block ms": longestBlock
        }
      })
    )
  })
}
