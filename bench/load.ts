/**
 * The load, in a process of its own: writers that send what they signed beforehand, readers that count what arrives.
 *
 *   node bench/load.ts '{"url","token","documents","readers","inFlight","seconds"}' — prints one JSON line.
 */
import { type Author, makeAuthor, snapshotMessage, updateMessage } from "@sealog/server/testing"
import { WebSocket } from "ws"

export interface Load {
  readonly url: string
  readonly token: string
  /** Documents, each with one writer. */
  readonly documents: number
  /** Readers of each document. */
  readonly readers: number
  /** Updates that a writer sends before it waits for an acknowledgement. */
  readonly inFlight: number
  readonly seconds: number
}

export interface Loaded {
  readonly saved: number
  /** `update-save-failed`; the writer sent the same again. */
  readonly failed: number
  readonly delivered: number
  readonly seconds: number
  /** From sending to acknowledgement, milliseconds. */
  readonly ackP50: number
  readonly ackP99: number
}

/** More than any server here takes, all documents together. */
const MAX_UPDATES_PER_SECOND = 8000

const connect = (load: Load, documentId: string): Promise<WebSocket> =>
  new Promise((resolve, reject) => {
    const socket = new WebSocket(`${load.url}/${documentId}?sessionKey=${load.token}&mode=complete`)
    socket.once("message", () => resolve(socket))
    socket.once("error", reject)
  })

interface Writer {
  readonly socket: WebSocket
  readonly updates: ReadonlyArray<string>
}

const prepare = async (load: Load, documentId: string): Promise<Writer> => {
  const author: Author = makeAuthor()
  const socket = await connect(load, documentId)
  const snapshot = snapshotMessage(author, { docId: documentId, ciphertext: 1000 })
  const saved = new Promise((resolve) => socket.once("message", resolve))
  socket.send(JSON.stringify(snapshot))
  await saved
  const refSnapshotId = snapshot.publicData.snapshotId
  const count = Math.ceil((MAX_UPDATES_PER_SECOND * load.seconds) / load.documents)
  const updates = Array.from({ length: count }, (_, clock) =>
    JSON.stringify(updateMessage(author, { docId: documentId, refSnapshotId, clock, ciphertext: 100 }))
  )
  return { socket, updates }
}

/** Writes until the deadline, never more than so many unacknowledged. */
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
      socket.on("message", (data) => {
        const message = JSON.parse(data.toString())
        if (message.type === "update-saved") {
          saved += 1
          latencies.push(performance.now() - (sentAt[message.clock] ?? 0))
          fill()
        } else if (message.type === "update-save-failed") {
          failed += 1
          send(message.clock)
        }
      })
      fill()
    }
  )

const quantile = (sorted: ReadonlyArray<number>, q: number): number => sorted[Math.floor(q * (sorted.length - 1))] ?? 0

const run = async (load: Load): Promise<Loaded> => {
  const names = Array.from({ length: load.documents }, () => `bench-${crypto.randomUUID()}`)
  const writers: Array<Writer> = []
  for (const name of names) writers.push(await prepare(load, name))
  let delivered = 0
  const readers = await Promise.all(
    names.flatMap((name) => Array.from({ length: load.readers }, () => connect(load, name)))
  )
  for (const reader of readers) {
    reader.on("message", () => {
      delivered += 1
    })
  }
  const start = performance.now()
  const done = await Promise.all(writers.map((writer) => write(writer, load.inFlight, start + load.seconds * 1000)))
  const seconds = (performance.now() - start) / 1000
  const latencies = done.flatMap((writer) => writer.latencies).sort((a, b) => a - b)
  return {
    saved: done.reduce((sum, writer) => sum + writer.saved, 0),
    failed: done.reduce((sum, writer) => sum + writer.failed, 0),
    delivered,
    seconds,
    ackP50: quantile(latencies, 0.5),
    ackP99: quantile(latencies, 0.99)
  }
}

const [argument] = process.argv.slice(2)
if (argument !== undefined) {
  console.log(JSON.stringify(await run(JSON.parse(argument))))
  process.exit(0)
}
