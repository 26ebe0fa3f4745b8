/** A WebSocket proxy before the server: a bad network on demand, and an eye on what is said. */
import type { AddressInfo } from "node:net"
import { Effect, type Scope } from "effect"
import { WebSocket, WebSocketServer } from "ws"

export interface Proxied {
  readonly type?: string
  readonly [field: string]: unknown
}

export interface Proxy {
  readonly url: string
  /** Frames from the server, also those that were dropped. */
  readonly received: Array<Proxied>
  /** Frames from the client. */
  readonly sent: Array<Proxied>
  /** Frames from the server that fit are not passed on, until this is called again. */
  readonly drop: (fits: (frame: Proxied) => boolean) => void
  /** A slow network: frames from the server wait, in their order, until `flow`. */
  readonly stall: () => void
  readonly flow: () => void
  /** Every connection is gone at once, without a closing handshake. */
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
