/**
 * Counts updates when a reader has received them, because not every peer acknowledges. Each writer keeps at most `inFlight`
 * updates on their way. Speaks Secsync, and the Yjs protocols of y-websocket and Hocuspocus.
 */
import { updateMessage } from "@sealog/server/testing"
import { WebSocket } from "ws"
import * as Y from "yjs"
import { quantile, sum } from "../harness/statistics.ts"
import { begin, connect, isUpdate, type Target } from "./client.ts"

export interface Delivery extends Target {
  readonly protocol: "secsync" | "y-websocket" | "hocuspocus"
  readonly documents: number
  readonly inFlight: number
  readonly seconds: number
}

export interface DeliveryDone {
  readonly delivered: number
  readonly seconds: number
  /** From sending until the reader has received it, milliseconds. */
  readonly p50: number
  readonly p99: number
}

interface Pair {
  readonly send: (n: number) => void
  readonly count: number
  /** Calls back with the number of updates that the reader has received; they arrive in order. */
  readonly onDelivered: (listener: (delivered: number) => void) => void
}

const MAX_UPDATES_PER_SECOND = 20_000
const TEXT = "x".repeat(100)

const secsyncPair = async (load: Delivery, docId: string, count: number): Promise<Pair> => {
  const { author, snapshot, socket } = await begin(load, docId, 1000)
  const refSnapshotId = snapshot.publicData.snapshotId
  const updates = Array.from({ length: count }, (_, clock) =>
    JSON.stringify(updateMessage(author, { docId, refSnapshotId, clock, ciphertext: TEXT.length }))
  )
  const reader = await connect(load, docId)
  let delivered = 0
  return {
    send: (n) => socket.send(updates[n] ?? ""),
    count,
    onDelivered: (listener) =>
      void reader.socket.on("message", (data: Buffer) => {
        if (isUpdate(data)) listener(++delivered)
      })
  }
}

/** Encodes a number as lib0 does: seven bits a byte, the lowest first. */
const varUint = (value: number): Buffer => {
  const bytes: Array<number> = []
  let left = value
  while (left > 127) {
    bytes.push((left & 127) | 128)
    left >>>= 7
  }
  return Buffer.from([...bytes, left])
}
const readVarUint = (bytes: Uint8Array): { readonly value: number; readonly length: number } => {
  let [value, length] = [0, 0]
  while (((bytes[length] ?? 0) & 128) !== 0) value |= ((bytes[length] ?? 0) & 127) << (7 * length++)
  return { value: value | ((bytes[length] ?? 0) << (7 * length)), length: length + 1 }
}
const varBytes = (bytes: Uint8Array): Buffer => Buffer.concat([varUint(bytes.length), bytes])

/** Message types of the Yjs protocols. */
const [SYNC, AUTH, UPDATE, TOKEN] = [0, 2, 2, 0] as const

/** Each update appends one item. The reader's last update gives its count, because Hocuspocus merges updates. */
const yjsPair = async (load: Delivery, docId: string, count: number): Promise<Pair> => {
  const address = load.protocol === "hocuspocus" ? varBytes(Buffer.from(docId)) : Buffer.alloc(0)
  const header = Buffer.concat([address, Buffer.of(SYNC, UPDATE)])
  const doc = new Y.Doc()
  const updates: Array<Buffer> = []
  doc.on("update", (update: Uint8Array) => updates.push(Buffer.concat([header, varBytes(update)])))
  for (let i = 0; i < count; i++) doc.getArray("list").push([TEXT])
  const open = () =>
    new Promise<WebSocket>((resolve, reject) => {
      const socket = new WebSocket(load.protocol === "hocuspocus" ? load.url : `${load.url}/${docId}`, {
        perMessageDeflate: false
      })
      socket.once("error", reject)
      socket.once("open", () => {
        if (load.protocol === "hocuspocus") {
          socket.send(Buffer.concat([address, Buffer.of(AUTH, TOKEN), varBytes(Buffer.from("token"))]))
        }
      })
      // The server's first frame means that the document is open.
      socket.once("message", () => resolve(socket))
    })
  const [writer, reader] = [await open(), await open()]
  return {
    send: (n) => writer.send(updates[n] ?? Buffer.alloc(0)),
    count,
    onDelivered: (listener) =>
      void reader.on("message", (data: Buffer) => {
        if (!data.subarray(0, header.length).equals(header)) return
        const rest = data.subarray(header.length)
        const { length, value } = readVarUint(rest)
        const delivered = Y.parseUpdateMeta(rest.subarray(length, length + value)).to.get(doc.clientID)
        if (delivered !== undefined) listener(delivered)
      })
  }
}

const writeOn = ({ count, onDelivered, send }: Pair, inFlight: number, deadline: number) =>
  new Promise<ReadonlyArray<number>>((resolve) => {
    const sentAt: Array<number> = []
    const latencies: Array<number> = []
    const fill = () => {
      while (sentAt.length < count && sentAt.length - latencies.length < inFlight && performance.now() < deadline) {
        sentAt.push(performance.now())
        send(sentAt.length - 1)
      }
      if (latencies.length === sentAt.length) resolve(latencies)
    }
    onDelivered((delivered) => {
      const now = performance.now()
      while (latencies.length < delivered) latencies.push(now - (sentAt[latencies.length] ?? 0))
      fill()
    })
    fill()
  })

export const prepare = async (load: Delivery): Promise<() => Promise<DeliveryDone>> => {
  const share = Math.ceil((MAX_UPDATES_PER_SECOND * load.seconds) / load.documents)
  const pairs: Array<Pair> = []
  for (let i = 0; i < load.documents; i++) {
    const docId = `bench-${crypto.randomUUID()}`
    pairs.push(await (load.protocol === "secsync" ? secsyncPair : yjsPair)(load, docId, share))
  }
  return async () => {
    const start = performance.now()
    const deadline = start + load.seconds * 1000
    const latencies = await Promise.all(pairs.map((pair) => writeOn(pair, load.inFlight, deadline)))
    const all = latencies.flat()
    return {
      delivered: sum(latencies.map(({ length }) => length)),
      seconds: (performance.now() - start) / 1000,
      p50: quantile(all, 0.5),
      p99: quantile(all, 0.99)
    }
  }
}
