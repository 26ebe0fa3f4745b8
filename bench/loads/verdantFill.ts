/** Fills a library with objects, and lets it settle: its author syncs once more, and writes one more operation. */
import { setTimeout as sleep } from "node:timers/promises"
import { initialize, join, sendOperations, setContent, type VerdantClient } from "./verdantClient.ts"

export interface VerdantFill {
  readonly url: string
  readonly token: string
  readonly objects: number
}

export interface VerdantFillDone {
  readonly seconds: number
}

/** Operations per message. */
const BATCH = 100
/** Gives servers the time after which they compact. */
const SETTLING_MILLIS = 5000

export const prepare = async (load: VerdantFill): Promise<() => Promise<VerdantFillDone>> => {
  const { client } = await join(load.url, load.token)
  return async () => {
    const start = performance.now()
    for (let from = 0; from < load.objects; from += BATCH) {
      const length = Math.min(BATCH, load.objects - from)
      await stored(
        client,
        Array.from({ length }, (_, i) => initialize(client, from + i))
      )
    }
    const seconds = (performance.now() - start) / 1000
    await sleep(SETTLING_MILLIS)
    client.socket.removeAllListeners("close").close()
    const again = await join(load.url, load.token, client.replicaId)
    await stored(again.client, [setContent(again.client, 0, 1)])
    await sleep(SETTLING_MILLIS)
    return { seconds }
  }
}

const stored = (client: VerdantClient, operations: ReadonlyArray<{ readonly timestamp: string }>): Promise<void> =>
  new Promise((resolve) => {
    client.onServerAck = () => resolve()
    sendOperations(client, operations)
  })
