/** Writers that send what they signed beforehand, never more than so many unacknowledged; readers that count. */
import { updateMessage } from "@sealog/server/testing"
import type { WebSocket } from "ws"
import { quantile, sum } from "../harness/statistics.ts"
import { begin, clockOf, connect, isUpdate, type Target } from "./client.ts"

export interface Updates extends Target {
  /** Documents, each with one writer. */
  readonly documents: number
  /** Readers of each document. */
  readonly readers: number
  /** Updates that a writer sends before it waits for an acknowledgement. */
  readonly inFlight: number
  readonly seconds: number
  /** Updates of each writer, instead of until the time is over. */
  readonly each?: number
  /** Bytes that are sealed in each. Default: 100. */
  readonly ciphertext?: number
}

export interface UpdatesDone {
  readonly saved: number
  /** `update-save-failed`; the writer sent the same again. */
  readonly failed: number
  /** To the readers, of what was saved. */
  readonly delivered: number
  readonly seconds: number
  /** From sending to acknowledgement, milliseconds. */
  readonly ackP50: number
  readonly ackP99: number
}

/** More than any server here takes, all documents together. */
const MAX_UPDATES_PER_SECOND = 20_000

interface Writer {
  readonly socket: WebSocket
  readonly updates: ReadonlyArray<string>
}

const prepareWriter = async (load: Updates, documentId: string): Promise<Writer> => {
  const { author, snapshot, socket } = await begin(load, documentId, 1000)
  const refSnapshotId = snapshot.publicData.snapshotId
  const most = load.inFlight * 4000 * load.seconds
  const share = Math.ceil((MAX_UPDATES_PER_SECOND * load.seconds) / load.documents)
  const count = load.each ?? Math.min(share, most)
  const updates = Array.from({ length: count }, (_, clock) =>
    JSON.stringify(
      updateMessage(author, { docId: documentId, refSnapshotId, clock, ciphertext: load.ciphertext ?? 100 })
    )
  )
  return { socket, updates }
}

/** Writes until the deadline. */
const write = ({ socket, updates }: Writer, inFlight: number, deadline: number) =>
  new Promise<{ readonly saved: number; readonly failed: number; readonly latencies: ReadonlyArray<number> }>(
    (resolve) => {
      const sentAt: Array<number> = []
      const latencies: Array<number> = []
      let [next, saved, failed] = [0, 0, 0]
      const send = (clock: number) => {
        sentAt[clock] = performance.now()
        socket.send(updates[clock] ?? "")
      }
      const fill = () => {
        while (next < updates.length && next - saved < inFlight && performance.now() < deadline) send(next++)
        if (saved === next) resolve({ saved, failed, latencies })
      }
      socket.on("message", (data: Buffer) => {
        if (data.indexOf('"update-saved"') > 0) {
          saved += 1
          latencies.push(performance.now() - (sentAt[clockOf(data)] ?? 0))
          fill()
        } else if (data.indexOf('"update-save-failed"') > 0) {
          failed += 1
          send(clockOf(data))
        }
      })
      fill()
    }
  )

export const prepare = async (load: Updates): Promise<() => Promise<UpdatesDone>> => {
  const names = Array.from({ length: load.documents }, () => `bench-${crypto.randomUUID()}`)
  const writers: Array<Writer> = []
  for (const name of names) writers.push(await prepareWriter(load, name))
  let delivered = 0
  for (const name of names) {
    for (let i = 0; i < load.readers; i++) {
      const { socket } = await connect(load, name)
      socket.on("message", (data: Buffer) => {
        if (isUpdate(data)) delivered += 1
      })
    }
  }
  return async () => {
    const start = performance.now()
    const deadline = load.each === undefined ? start + load.seconds * 1000 : Number.POSITIVE_INFINITY
    const done = await Promise.all(writers.map((writer) => write(writer, load.inFlight, deadline)))
    const seconds = (performance.now() - start) / 1000
    const latencies = done.flatMap((writer) => writer.latencies)
    return {
      saved: sum(done.map(({ saved }) => saved)),
      failed: sum(done.map(({ failed }) => failed)),
      delivered,
      seconds,
      ackP50: quantile(latencies, 0.5),
      ackP99: quantile(latencies, 0.99)
    }
  }
}
