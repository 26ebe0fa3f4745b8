/** A TCP proxy whose network can swallow all bytes: connections stay open, and nothing arrives. */
import { type AddressInfo, connect, createServer, type Socket } from "node:net"
import { Effect, type Scope } from "effect"

export interface BlackHole {
  readonly port: number
  /** Connections to the target so far. */
  readonly connections: () => number
  /** Whether a connection to the target comes from this proxy, by the port at which it begins. */
  readonly passes: (port: number) => boolean
  /** From now on, bytes of both sides are lost in the network: neither side hears of it. */
  readonly swallow: () => void
  /** The bytes that were lost. */
  readonly swallowed: () => number
  /** From now on, bytes arrive, on connections that are new. The old ones never hear of their peers again. */
  readonly heal: () => void
}

/** A proxy in front of a port of this machine. */
export const startBlackHole = (target: number): Effect.Effect<BlackHole, never, Scope.Scope> =>
  Effect.gen(function* () {
    let isSwallowing = false
    let swallowed = 0
    const sockets = new Set<Socket>()
    const ports = new Set<number>()
    const server = createServer((client) => {
      const upstream = connect(target, "127.0.0.1").on("connect", () => ports.add(upstream.localPort!))
      const lost = { value: isSwallowing }
      for (const [from, to] of [
        [client, upstream],
        [upstream, client]
      ] as const) {
        sockets.add(from)
        from
          .on("error", () => {})
          .on("close", () => {
            sockets.delete(from)
            if (!lost.value && !isSwallowing) to.destroy()
          })
        from.on("data", (bytes) => {
          lost.value ||= isSwallowing
          if (lost.value) swallowed += bytes.length
          else to.write(bytes)
        })
      }
    })
    yield* Effect.acquireRelease(
      Effect.callback<void>((resume) => void server.listen(0, "127.0.0.1", () => resume(Effect.void))),
      () =>
        Effect.sync(() => {
          for (const socket of sockets) socket.destroy()
          server.close()
        })
    )
    return {
      port: (server.address() as AddressInfo).port,
      connections: () => ports.size,
      passes: (port) => ports.has(port),
      swallow: () => {
        isSwallowing = true
      },
      swallowed: () => swallowed,
      heal: () => {
        isSwallowing = false
      }
    }
  })
