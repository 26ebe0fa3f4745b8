/** Writers send updates signed beforehand, with at most `inFlight` unacknowledged. Readers count them. */
import { updateMessage } from "@sealog/server/testing"
import type { WebSocket } from "ws"
import { quantile, sum } from "../harness/statistics.ts"
import { begin, clockOf, connect, isUpdate, type Target } from "./client.ts"

export interface Updates extends Target {
  /** Documents, each with one writer. */
  readonly documents: number
  /** Readers of each document. */
  readonly readers: number
  /** Unacknowledged updates of one writer at any time. */
  readonly inFlight: number
  readonly seconds: number
  /** Updates of all writers, which are signed beforehand for each second. Default: 20,000. */
  readonly perSecond?: number
  /** Updates of each writer; replaces the time limit. */
  readonly each?: number
  /** Sealed bytes in each update. Default: 100. */
  readonly ciphertext?: number
}

export interface UpdatesDone {
  readonly saved: number
  /** Answers `update-save-failed`; the writer then sent the same update again. */
  readonly failed: number
  /** Updates that readers received. */
  readonly delivered: number
  readonly seconds: number
  /** From sending until the acknowledgement, milliseconds. */
  readonly ackP50: number
  readonly ackP99: number
}

/** More than any server of the protocol handles, for all documents together and for one alone. */
const [MAX_UPDATES_PER_SECOND, MAX_OF_A_DOCUMENT] = [20_000, 12_000] as const
/** Writes before the measured part, until the server's code is as compiled as after a day of running: V8 compiles on threads. */
const WARM_UP_SECONDS = 5

interface Writer {
  readonly socket: WebSocket
  readonly updates: ReadonlyArray<string>
  /** Index of the first update that was not sent yet. */
  next: number
}

const prepareWriter = async (load: Updates, documentId: string): Promise<Writer> => {
  const { author, snapshot, socket } = await begin(load, documentId, 1000)
  const refSnapshotId = snapshot.publicData.snapshotId
  const all = load.perSecond ?? MAX_UPDATES_PER_SECOND
  const perSecond = Math.min(all / load.documents, MAX_OF_A_DOCUMENT, load.inFlight * 4000)
  const count = load.each ?? Math.ceil(perSecond * (WARM_UP_SECONDS + load.seconds))
  const updates = Array.from({ length: count }, (_, clock) =>
    JSON.stringify(
      updateMessage(author, { docId: documentId, refSnapshotId, clock, ciphertext: load.ciphertext ?? 100 })
    )
  )
  return { socket, updates, next: 0 }
}

/** Writes until the deadline. Resolves once all sent updates are acknowledged. */
const write = (writer: Writer, inFlight: number, deadline: number) =>
  new Promise<{ readonly saved: number; readonly failed: number; readonly latencies: ReadonlyArray<number> }>(
    (resolve) => {
      const { socket, updates } = writer
      const sentAt: Array<number> = []
      const latencies: Array<number> = []
      let [sent, saved, failed] = [0, 0, 0]
      const send = (clock: number) => {
        sentAt[clock] = performance.now()
        socket.send(updates[clock] ?? "")
      }
      const fill = () => {
        while (writer.next < updates.length && sent - saved < inFlight && performance.now() < deadline) {
          sent += 1
          send(writer.next++)
        }
        if (saved < sent) return
        socket.off("message", onMessage)
        resolve({ saved, failed, latencies })
      }
      const onMessage = (data: Buffer) => {
        if (data.indexOf('"update-saved"') > 0) {
          saved += 1
          latencies.push(performance.now() - (sentAt[clockOf(data)] ?? 0))
          fill()
        } else if (data.indexOf('"update-save-failed"') > 0) {
          failed += 1
          send(clockOf(data))
        }
      }
      socket.on("message", onMessage)
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
  const writeUntil = (deadline: number) => Promise.all(writers.map((writer) => write(writer, load.inFlight, deadline)))
  if (load.each === undefined) await writeUntil(performance.now() + WARM_UP_SECONDS * 1000)
  return async () => {
    delivered = 0
    const start = performance.now()
    const deadline = load.each === undefined ? start + load.seconds * 1000 : Number.POSITIVE_INFINITY
    const done = await writeUntil(deadline)
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
