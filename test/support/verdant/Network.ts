/** What lies between one client and the server: keeps what was said, and can be cut. */
import { WebSocket } from "ws"

/** A message of either side, as far as a test looks into it. */
export interface Message {
  readonly type: string
  readonly [field: string]: unknown
}

export interface Network {
  readonly sent: Array<Message>
  readonly received: Array<Message>
  /** Statuses of the answers to requests, in their order. */
  readonly statuses: Array<number>
  /** Uploads of files that succeeded. */
  readonly uploads: () => number
  /** How many sockets were opened. */
  readonly connections: () => number
  /** Sockets end without a closing handshake and requests fail, until it is mended. */
  readonly cut: () => void
  readonly mend: () => void
  /** Every open socket ends without a closing handshake; the next one goes through. */
  readonly drop: () => void
  readonly fetch: typeof globalThis.fetch
  readonly WebSocket: typeof globalThis.WebSocket
}

export const makeNetwork = (): Network => {
  const sent: Array<Message> = []
  const received: Array<Message> = []
  const statuses: Array<number> = []
  const open = new Set<WebSocket>()
  let connections = 0
  let uploads = 0
  let isUp = true

  class RecordedSocket extends WebSocket {
    constructor(url: string | URL, protocols?: string | Array<string>) {
      // Nobody listens on port 1, so this fails as it would offline.
      super(isUp ? url : "ws://127.0.0.1:1", protocols)
      connections += 1
      this.on("open", () => open.add(this))
      this.on("close", () => open.delete(this))
      this.on("error", () => {})
      this.on("message", (data) => void received.push(JSON.parse(String(data))))
    }

    override send(data: string): void {
      sent.push(JSON.parse(data))
      super.send(data)
    }
  }

  const drop = () => {
    for (const socket of open) socket.terminate()
  }
  return {
    sent,
    received,
    statuses,
    uploads: () => uploads,
    connections: () => connections,
    cut: () => {
      isUp = false
      drop()
    },
    mend: () => {
      isUp = true
    },
    drop,
    fetch: async (input, init) => {
      if (!isUp) throw new TypeError("fetch failed")
      if (typeof init?.body === "string") sent.push(...JSON.parse(init.body).messages)
      const response = await globalThis.fetch(input, init)
      statuses.push(response.status)
      if (!isUp) throw new TypeError("fetch failed")
      if (response.ok && init?.body instanceof FormData) uploads += 1
      if (response.ok && typeof init?.body === "string") {
        const answer: { readonly messages: ReadonlyArray<Message> } = await response.clone().json()
        received.push(...answer.messages)
      }
      return response
    },
    WebSocket: RecordedSocket as unknown as typeof globalThis.WebSocket
  }
}
