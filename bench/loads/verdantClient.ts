/** Bare Verdant clients: they send the messages of a real client at the same moments, and store nothing. */
import { WebSocket } from "ws"

export interface VerdantTarget {
  readonly url: string
  /** A token for each client; each is a user of its own. */
  readonly tokens: ReadonlyArray<string>
}

/** The number of frames of one type, and their bytes. */
export interface Received {
  messages: number
  bytes: number
}

export interface VerdantClient {
  readonly socket: WebSocket
  readonly replicaId: string
  /** Returns a new timestamp, larger than all before. */
  readonly now: () => string
  /** Received frames by message type, since the map was last cleared. */
  readonly received: Map<string, Received>
  /** Called with the timestamp of an `op` that the server has stored. */
  onServerAck: (timestamp: string) => void
  /** Called with the timestamps of other clients' operations. */
  onOperations: (timestamps: ReadonlyArray<string>) => void
}

/** A client that has synced, with the figures of its sync. */
export interface Joined {
  readonly client: VerdantClient
  /** From connecting until the answer arrived, milliseconds. */
  readonly milliseconds: number
  readonly bytes: number
  readonly text: string
}

const MAX_PAYLOAD = 512 * 1024 * 1024

/** Joins as a new device without data; with a replica id, as that replica after it has lost all its data. */
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

/** Reads the message type, which every server here writes first. */
const typeOf = (data: Buffer): string => /^\{"type":"([\w-]+)"/.exec(data.toString("latin1", 0, 40))?.[1] ?? "?"

const digits = (value: number, length: number): string => value.toString(36).padStart(length, "0")

/** Makes Verdant's timestamps: schema version, milliseconds, counter, node. */
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

/** Returns the operation that creates an object, as one entity. */
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

/** Sends operations as one message. Returns its timestamp, which the server acknowledges. */
export const sendOperations = (
  { replicaId, socket }: VerdantClient,
  operations: ReadonlyArray<{ readonly timestamp: string }>
): string => {
  const timestamp = operations.at(-1)!.timestamp
  socket.send(JSON.stringify({ type: "op", replicaId, timestamp, operations }))
  return timestamp
}
