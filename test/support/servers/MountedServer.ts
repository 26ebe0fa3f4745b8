/** An app's own HTTP server with Sealog in it, on the log in memory. */
import { createServer, type RequestListener } from "node:http"
import type { AddressInfo } from "node:net"
import { createSealog, memoryStorage, type Sealog, type SealogOptions } from "@sealog/server/node"
import { Effect, type Scope } from "effect"
import { TOKEN_SECRET } from "./TestServer.ts"

export const openSealog = (options: Partial<SealogOptions> = {}): Effect.Effect<Sealog, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.promise(() => createSealog({ storage: memoryStorage(), access: { secret: TOKEN_SECRET }, ...options })),
    (sealog) => Effect.promise(() => sealog.close())
  )

export interface Mounted {
  readonly sealog: Sealog
  readonly port: number
  /** http://127.0.0.1:PORT */
  readonly url: string
}

/** `app` answers what Sealog leaves to it. Default: 204. */
export const startMounted: (
  options?: Partial<SealogOptions>,
  app?: RequestListener
) => Effect.Effect<Mounted, never, Scope.Scope> = Effect.fnUntraced(function* (
  options,
  app = (_, response) => void response.writeHead(204).end()
) {
  const sealog = yield* openSealog(options)
  const server = createServer((request, response) =>
    sealog.handlers.request(request, response, () => app(request, response))
  )
  server.on("upgrade", sealog.handlers.upgrade)
  const port = yield* listen(server)
  return { sealog, port, url: `http://127.0.0.1:${port}` }
})

/** Listens on a free port until the scope closes. */
export const listen = (server: ReturnType<typeof createServer>): Effect.Effect<number, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.callback<number>((resume) => {
      server.listen(0, "127.0.0.1", () => resume(Effect.succeed((server.address() as AddressInfo).port)))
    }),
    () => Effect.sync(() => server.close().closeAllConnections())
  )
