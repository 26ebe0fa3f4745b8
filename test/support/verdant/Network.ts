/** The network of one client: it records all messages, and a test can cut it. */
import { WebSocket } from "ws"

/** A message of either side. A test reads the fields that it needs. */
export interface Message {
  readonly type: string
  readonly [field: string]: unknown
}

export interface Network {
  readonly sent: Array<Message>
  readonly received: Array<Message>
  /** The statuses of all responses, in order. */
  readonly statuses: Array<number>
  /** The number of requests without a response yet, and of tokens that the app has not answered yet. */
  readonly underWay: () => number
  /** Asks the app for a token. Never answers if the app cannot be asked. */
  readonly askApp: (ask: () => Promise<string>) => Promise<string>
  /** The number of files that were uploaded successfully. */
  readonly uploads: () => number
  /** The number of sockets that the client has opened. */
  readonly connections: () => number
  /** Ends all sockets without a closing handshake, and fails all requests until `mend`. */
  readonly cut: () => void
  readonly mend: () => void
  /** Ends every open socket without a closing handshake. The next one connects. */
  readonly drop: () => void
  /** Loses messages of this type, and requests that carry one, until `mend`. */
  readonly lose: (type: string) => void
  readonly fetch: typeof globalThis.fetch
  readonly WebSocket: typeof globalThis.WebSocket
}

/** `cookie`: what a browser would send with every request. `onFailure` is told why the app could not be asked. */
export const makeNetwork = (cookie: string | undefined, onFailure: (error: unknown) => void): Network => {
  const headers = cookie === undefined ? {} : { cookie }
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
      // No server listens on port 1, so this fails as it would offline.
      super(isUp ? url : "ws://127.0.0.1:1", protocols, { headers })
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
    askApp: (ask) => {
      underWay += 1
      // Asks again, as a browser does when the server has just closed the kept connection of a request.
      const answer = ask()
        .catch(ask)
        .finally(() => {
          underWay -= 1
        })
      // The store does not handle a failure, and may ask when the test has ended the app.
      return answer.catch((error) => {
        onFailure(error)
        return new Promise(() => {})
      })
    },
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
        const response = await globalThis.fetch(input, {
          ...init,
          headers: { ...(init?.headers as object), ...headers }
        })
        // The network was cut during the request: the server may have handled it, but the client never knows.
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
