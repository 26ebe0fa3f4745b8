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
  /** Requests that are not answered yet. */
  readonly underWay: () => number
  /** Uploads of files that succeeded. */
  readonly uploads: () => number
  /** How many sockets were opened. */
  readonly connections: () => number
  /** Sockets end without a closing handshake and requests fail, until it is mended. */
  readonly cut: () => void
  readonly mend: () => void
  /** Every open socket ends without a closing handshake; the next one goes through. */
  readonly drop: () => void
  /** Messages of this type, and requests that carry one, never arrive until it is mended. */
  readonly lose: (type: string) => void
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
  let underWay = 0
  let isUp = true
  let lost: string | undefined

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
      const message: Message = JSON.parse(data)
      sent.push(message)
      if (message.type !== lost) super.send(data)
    }
  }

  const drop = () => {
    for (const socket of open) socket.terminate()
  }
  return {
    sent,
    received,
    statuses,
    underWay: () => underWay,
    uploads: () => uploads,
    connections: () => connections,
    cut: () => {
      isUp = false
      drop()
    },
    mend: () => {
      isUp = true
      lost = undefined
    },
    drop,
    lose: (type) => {
      lost = type
    },
    fetch: async (input, init) => {
      if (!isUp) throw new TypeError("fetch failed")
      const isSync = typeof init?.body === "string"
      const messages: ReadonlyArray<Message> = isSync ? JSON.parse(init.body as string).messages : []
      sent.push(...messages)
      if (messages.some(({ type }) => type === lost)) throw new TypeError("fetch failed")
      underWay += 1
      try {
        const response = await globalThis.fetch(input, init)
        // Cut while it was under way: the server may have heard it, and the client will never know.
        if (!isUp) throw new TypeError("fetch failed")
        statuses.push(response.status)
        if (response.ok && init?.body instanceof FormData) uploads += 1
        if (response.ok && isSync) {
          const answer: { readonly messages: ReadonlyArray<Message> } = await response.clone().json()
          received.push(...answer.messages)
        }
        return response
      } finally {
        underWay -= 1
      }
    },
    WebSocket: RecordedSocket as unknown as typeof globalThis.WebSocket
  }
}
