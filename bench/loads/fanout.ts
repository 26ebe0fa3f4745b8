/** One writer at a steady rate, many readers; how long until each has it. */
import { setTimeout as sleep } from "node:timers/promises"
import { updateMessage } from "@sealog/server/testing"
import { quantile } from "../harness/statistics.ts"
import { begin, clockOf, connect, isUpdate, type Target } from "./client.ts"

export interface Fanout extends Target {
  readonly readers: number
  readonly perSecond: number
  readonly seconds: number
}

export interface FanoutDone {
  readonly sent: number
  readonly delivered: number
  /** From sending to a reader's having it, milliseconds. */
  readonly deliveryP50: number
  readonly deliveryP99: number
}

export const prepare = async (load: Fanout): Promise<() => Promise<FanoutDone>> => {
  const documentId = `bench-${crypto.randomUUID()}`
  const { author, snapshot, socket } = await begin(load, documentId, 1000)
  const count = load.perSecond * load.seconds
  const updates = Array.from({ length: count }, (_, clock) =>
    JSON.stringify(
      updateMessage(author, {
        docId: documentId,
        refSnapshotId: snapshot.publicData.snapshotId,
        clock,
        ciphertext: 100
      })
    )
  )
  const sentAt: Array<number> = []
  const latencies: Array<number> = []
  const all = Promise.withResolvers<void>()
  for (let i = 0; i < load.readers; i++) {
    const reader = await connect(load, documentId)
    reader.socket.on("message", (data: Buffer) => {
      if (!isUpdate(data)) return
      latencies.push(performance.now() - (sentAt[clockOf(data)] ?? 0))
      if (latencies.length === count * load.readers) all.resolve()
    })
  }
  return async () => {
    const start = performance.now()
    for (const [i, update] of updates.entries()) {
      await sleep(Math.max(0, start + (i * 1000) / load.perSecond - performance.now()))
      sentAt[i] = performance.now()
      socket.send(update)
    }
    await Promise.race([all.promise, sleep(10_000)])
    return {
      sent: count,
      delivered: latencies.length,
      deliveryP50: quantile(latencies, 0.5),
      deliveryP99: quantile(latencies, 0.99)
    }
  }
}
