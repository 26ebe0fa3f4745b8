/** A WebSocket proxy in front of a server. It records all frames, and drops, delays or cuts on demand. */
import type { AddressInfo } from "node:net"
import { Effect, type Scope } from "effect"
import { WebSocket, WebSocketServer } from "ws"

/** A frame of either side. A test reads the fields that it needs. */
export interface Proxied {
  readonly type?: string
  readonly [field: string]: unknown
}

export interface Proxy {
  readonly url: string
  /** Frames from the server, dropped ones included. */
  readonly received: Array<Proxied>
  /** Frames from the client. */
  readonly sent: Array<Proxied>
  /** Drops matching frames from the server, until the next call. */
  readonly drop: (fits: (frame: Proxied) => boolean) => void
  /** Holds back all frames from the server, in order, until `flow`. */
  readonly stall: () => void
  readonly flow: () => void
  /** Ends every connection at once, without a closing handshake. */
  readonly cut: () => void
}

export const startProxy = (target: string): Effect.Effect<Proxy, never, Scope.Scope> =>
  Effect.gen(function* () {
    const received: Array<Proxied> = []
    const sent: Array<Proxied> = []
    let drops: (frame: Proxied) => boolean = () => false
    let stalled: Array<() => void> | undefined
    const server = yield* Effect.acquireRelease(
      Effect.callback<WebSocketServer>((resume) => {
        const starting: WebSocketServer = new WebSocketServer({ port: 0, host: "127.0.0.1" }, () =>
          resume(Effect.succeed(starting))
        )
      }),
      (server) =>
        Effect.sync(() => {
          for (const socket of server.clients) socket.terminate()
          server.close()
        })
    )
    server.on("connection", (client, request) => {
      const upstream = new WebSocket(`${target}${request.url}`)
      const early: Array<string> = []
      upstream.on("open", () => {
        for (const text of early) upstream.send(text)
      })
      client.on("message", (data) => {
        const text = String(data)
        sent.push(JSON.parse(text))
        if (upstream.readyState === WebSocket.CONNECTING) early.push(text)
        else if (upstream.readyState === WebSocket.OPEN) upstream.send(text)
      })
      upstream.on("message", (data) => {
        const frame: Proxied = JSON.parse(String(data))
        received.push(frame)
        if (drops(frame)) return
        const pass = () => client.send(String(data))
        if (stalled === undefined) pass()
        else stalled.push(pass)
      })
      client.on("close", () => upstream.terminate())
      upstream.on("close", () => client.terminate())
      upstream.on("error", () => client.terminate())
    })
    return {
      url: `ws://127.0.0.1:${(server.address() as AddressInfo).port}`,
      received,
      sent,
      drop: (fits) => {
        drops = fits
      },
      stall: () => {
        stalled ??= []
      },
      flow: () => {
        const passes = stalled ?? []
        stalled = undefined
        for (const pass of passes) pass()
      },
      cut: () => {
        for (const socket of server.clients) socket.terminate()
      }
    }
  })
