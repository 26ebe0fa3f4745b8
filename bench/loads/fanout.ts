/** One writer at a steady rate and many readers: measures the time until each reader has an update. */
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
  /** From sending until a reader has received it, milliseconds. */
  readonly deliveryP50: number
  readonly deliveryP99: number
}

/** Updates before the measured ones, so that the measured ones run in compiled code. */
const WARM_UP = 200

export const prepare = async (load: Fanout): Promise<() => Promise<FanoutDone>> => {
  const documentId = `bench-${crypto.randomUUID()}`
  const { author, snapshot, socket } = await begin(load, documentId, 1000)
  const count = load.perSecond * load.seconds
  const updates = Array.from({ length: WARM_UP + count }, (_, clock) =>
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
  let isMeasured = false
  for (let i = 0; i < load.readers; i++) {
    const reader = await connect(load, documentId)
    reader.socket.on("message", (data: Buffer) => {
      if (!isMeasured || !isUpdate(data)) return
      latencies.push(performance.now() - (sentAt[clockOf(data)] ?? 0))
      if (latencies.length === count * load.readers) all.resolve()
    })
  }
  for (const update of updates.slice(0, WARM_UP)) {
    const saved = new Promise((resolve) => socket.once("message", resolve))
    socket.send(update)
    await saved
  }
  // By then the readers have received the warm-up.
  await sleep(1000)
  return async () => {
    isMeasured = true
    const start = performance.now()
    for (let i = 0; i < count; i++) {
      await sleep(Math.max(0, start + (i * 1000) / load.perSecond - performance.now()))
      sentAt[WARM_UP + i] = performance.now()
      socket.send(updates[WARM_UP + i] ?? "")
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
