/** A WebSocket over a bare TCP socket, for clients that misbehave: it answers neither pings nor close frames. */
import { connect, type Socket } from "node:net"
import { Effect, type Scope } from "effect"

/**
 * Sends the request for an upgrade. `allowHalfOpen` keeps the client's side open after the server has ended its side.
 * `forwardedFor`: the client's address, as a proxy would name it.
 */
export const askToUpgrade = (
  port: number,
  path: string,
  { forwardedFor, ...options }: { readonly allowHalfOpen?: boolean; readonly forwardedFor?: string } = {}
): Effect.Effect<Socket, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const socket = connect({ port, host: "127.0.0.1", ...options })
      socket.on("error", () => {})
      const head = [`GET ${path} HTTP/1.1`, "Host: server", "Connection: Upgrade", "Upgrade: websocket"]
      const key = ["Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="]
      const proxy = forwardedFor === undefined ? [] : [`X-Forwarded-For: ${forwardedFor}`]
      socket.write(`${[...head, ...key, ...proxy].join("\r\n")}\r\n\r\n`)
      return socket
    }),
    (socket) => Effect.sync(() => socket.destroy())
  )

/** The header of a text frame of 64 KiB or more, with a mask of zeros (RFC 6455 section 5.2). */
export const frameHeader = (bytes: number): Buffer => {
  const header = Buffer.alloc(14)
  header.set([0x81, 0x80 | 127])
  header.writeBigUInt64BE(BigInt(bytes), 2)
  return header
}
