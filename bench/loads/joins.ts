/** Many clients join one document, `atATime` at a time. */
import { quantile } from "../harness/statistics.ts"
import { begin, connect, type Target } from "./client.ts"

export interface Joins extends Target {
  readonly clients: number
  readonly atATime: number
  /** Sealed size of the document's snapshot. */
  readonly bytes: number
}

export interface JoinsDone {
  /** From connecting until the client has the whole document, milliseconds. */
  readonly p50: number
  readonly p99: number
  readonly seconds: number
  readonly receivedBytes: number
}

export const prepare = async (load: Joins): Promise<() => Promise<JoinsDone>> => {
  const documentId = `bench-${crypto.randomUUID()}`
  // A ciphertext of base64 is a third larger than its bytes.
  const { socket } = await begin(load, documentId, Math.floor((load.bytes * 3) / 4))
  socket.close()
  return async () => {
    const times: Array<number> = []
    let [left, receivedBytes] = [load.clients, 0]
    const start = performance.now()
    const joinOn = async () => {
      while (left > 0) {
        left -= 1
        const from = performance.now()
        const { first, socket } = await connect(load, documentId)
        times.push(performance.now() - from)
        receivedBytes += first.length
        // Every client stays connected.
        socket.on("message", () => {})
      }
    }
    await Promise.all(Array.from({ length: load.atATime }, joinOn))
    const seconds = (performance.now() - start) / 1000
    return { p50: quantile(times, 0.5), p99: quantile(times, 0.99), seconds, receivedBytes }
  }
}
