/** Loads a document with many updates after its snapshot again and again, each time after one more update. */
import { updateMessage } from "@sealog/server/testing"
import { quantile } from "../harness/statistics.ts"
import { begin, connect, type Target } from "./client.ts"

export interface Loading extends Target {
  readonly trailing: number
  /** Updates that the client lacks; undefined: it has no data. */
  readonly missing?: number
  readonly loads: number
  /** Loads before the measured ones, until the server's code is as compiled as after a day of running. */
  readonly warmUp: number
}

export interface LoadingDone {
  /** From connecting until the document arrives, milliseconds. */
  readonly p50: number
  readonly p99: number
  readonly loads: number
}

export const prepare = async (load: Loading): Promise<() => Promise<LoadingDone>> => {
  const docId = `bench-${crypto.randomUUID()}`
  const { author, snapshot, socket } = await begin(load, docId, 1000)
  const refSnapshotId = snapshot.publicData.snapshotId
  const updates = Array.from({ length: load.trailing + load.warmUp + load.loads }, (_, clock) =>
    JSON.stringify(updateMessage(author, { docId, refSnapshotId, clock, ciphertext: 100 }))
  )
  let clock = 0
  const write = async () => {
    const saved = new Promise((resolve) => socket.once("message", resolve))
    socket.send(updates[clock++] ?? "")
    await saved
  }
  while (clock < load.trailing) await write()
  const query = () => {
    if (load.missing === undefined) return "&mode=complete"
    const known = encodeURIComponent(JSON.stringify({ [author.pubKey]: clock - 1 - load.missing }))
    return `&mode=delta&knownSnapshotId=${refSnapshotId}&knownSnapshotUpdateClocks=${known}`
  }
  /** Writes one update, loads the document, and returns the milliseconds from connecting until it arrives. */
  const loadOnce = async (): Promise<number> => {
    await write()
    const from = performance.now()
    const reader = await connect(load, docId, { query: query(), answers: false })
    const time = performance.now() - from
    const expected = load.missing ?? clock
    const got = reader.first.toString().split('"clock"').length - 1
    if (got !== expected) throw new Error(`${got} updates of ${expected}`)
    reader.socket.terminate()
    return time
  }
  for (let i = 0; i < load.warmUp; i++) await loadOnce()
  return async () => {
    const times: Array<number> = []
    for (let i = 0; i < load.loads; i++) times.push(await loadOnce())
    return { p50: quantile(times, 0.5), p99: quantile(times, 0.99), loads: load.loads }
  }
}
