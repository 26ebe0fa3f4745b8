/** Bare Verdant clients: they say what a real one says and when, and keep nothing of what they are told. */
import { WebSocket } from "ws"

export interface VerdantTarget {
  readonly url: string
  /** One for each client; they are users of their own. */
  readonly tokens: ReadonlyArray<string>
}

/** Frames of one kind, and the bytes in them. */
export interface Received {
  messages: number
  bytes: number
}

export interface VerdantClient {
  readonly socket: WebSocket
  readonly replicaId: string
  /** A new timestamp, larger than all before. */
  readonly now: () => string
  /** By the type of message, since this was last emptied. */
  readonly received: Map<string, Received>
  /** Called with the `op.timestamp` that the server has stored. */
  onServerAck: (timestamp: string) => void
  /** Called with the timestamps of operations of others. */
  onOperations: (timestamps: ReadonlyArray<string>) => void
}

/** A client that has synced, and how that went. */
export interface Joined {
  readonly client: VerdantClient
  /** From connecting until the answer was there, milliseconds. */
  readonly milliseconds: number
  readonly bytes: number
  readonly text: string
}

const MAX_PAYLOAD = 512 * 1024 * 1024

/** Joins with nothing, as a device does that was not there before; with a replica's name, as that one which has lost all. */
export const join = (url: string, token: string, replicaId: string = newReplicaId()): Promise<Joined> =>
  new Promise((resolve, reject) => {
    const start = performance.now()
    const socket = new WebSocket(`${url}/verdant`, ["Bearer", token], {
      perMessageDeflate: false,
      maxPayload: MAX_PAYLOAD
    })
    const send = (message: object) => socket.send(JSON.stringify(message))
    const now = makeClock(replicaId.slice(-7))
    const client: VerdantClient = {
      ...{ socket, replicaId, now, received: new Map() },
      onServerAck: () => {},
      onOperations: () => {}
    }
    socket.once("open", () => {
      send({ type: "presence-update", replicaId, presence: {}, internal: {} })
      const sync = { operations: [], baselines: [], resyncAll: true, since: null, schemaVersion: 1 }
      send({ type: "sync", replicaId, timestamp: now(), ...sync })
    })
    socket.on("message", (data: Buffer) => {
      const type = typeOf(data)
      const kind = client.received.get(type) ?? { messages: 0, bytes: 0 }
      kind.messages += 1
      kind.bytes += data.length
      client.received.set(type, kind)
      switch (type) {
        case "sync-resp": {
          const milliseconds = performance.now() - start
          const text = data.toString()
          const nonce = /"ackThisNonce":"([^"]+)"/.exec(text)?.[1]
          if (nonce !== undefined) send({ type: "ack", replicaId, nonce, timestamp: now() })
          else if (text.includes('"operations":[{')) {
            send({ type: "ack", replicaId, timestamp: JSON.parse(text).operations.at(-1).timestamp })
          }
          return resolve({ client, milliseconds, bytes: data.length, text })
        }
        case "op-re": {
          const operations: ReadonlyArray<{ readonly timestamp: string }> = JSON.parse(data.toString()).operations
          const timestamps = operations.map(({ timestamp }) => timestamp)
          send({ type: "ack", replicaId, timestamp: timestamps.at(-1) })
          return client.onOperations(timestamps)
        }
        case "server-ack":
          return client.onServerAck(JSON.parse(data.toString()).timestamp)
      }
    })
    socket.once("error", reject)
    socket.once("close", (code) => reject(new Error(`The connection was closed with ${code}`)))
  })

const newReplicaId = (): string => `r${crypto.randomUUID().replaceAll("-", "")}`

/** Every server writes it first. */
const typeOf = (data: Buffer): string => /^\{"type":"([\w-]+)"/.exec(data.toString("latin1", 0, 40))?.[1] ?? "?"

const digits = (value: number, length: number): string => value.toString(36).padStart(length, "0")

/** Verdant's: schema version, milliseconds, counter, node. */
const makeClock = (node: string): (() => string) => {
  let [millis, counter] = [0, 0]
  return () => {
    const wall = Date.now()
    counter = wall > millis ? 0 : counter + 1
    millis = Math.max(wall, millis)
    return `0001${digits(millis, 9)}${digits(counter, 4)}${node}`
  }
}

const oidOf = (object: number): string => `items/object-${object}`

/** A new object, as one entity. */
export const initialize = (client: VerdantClient, object: number) => ({
  oid: oidOf(object),
  timestamp: client.now(),
  data: {
    op: "initialize",
    value: { id: `object-${object}`, content: `What is in ${object}`, done: false, tag: "bench" }
  }
})

export const setContent = (client: VerdantClient, object: number, n: number) => ({
  oid: oidOf(object),
  timestamp: client.now(),
  data: { op: "set", name: "content", value: `What is in ${object} after ${n} changes` }
})

/** Sends operations as one message; its timestamp, which the server acknowledges. */
export const sendOperations = (
  { replicaId, socket }: VerdantClient,
  operations: ReadonlyArray<{ readonly timestamp: string }>
): string => {
  const timestamp = operations.at(-1)!.timestamp
  socket.send(JSON.stringify({ type: "op", replicaId, timestamp, operations }))
  return timestamp
}
