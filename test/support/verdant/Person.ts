/** A user with one device, who closes the app and opens it again. */
import { Effect, Exit, Scope } from "effect"
import { IDBFactory } from "fake-indexeddb"
import { randomName } from "../servers/TestServer.ts"
import { reindex } from "./reindex.ts"
import { openClient, type VerdantClient, type VerdantClientOptions } from "./VerdantClient.ts"

export interface Person {
  readonly user: string
  /** The client of the open app, or the last one. */
  readonly client: () => VerdantClient
  readonly isAway: () => boolean
  /** The resets of the device so far. */
  readonly resets: () => number
  /** True after a reset since the app was opened, or after the client has shut itself down. */
  readonly needsReopening: () => boolean
  readonly goOffline: Effect.Effect<void>
  readonly goOnline: Effect.Effect<void>
  /** Closes the app and opens it again, online unless the user is away. */
  readonly reopen: Effect.Effect<void>
}

export const makePerson: (
  options: Omit<VerdantClientOptions, "device" | "offline">
) => Effect.Effect<Person, never, Scope.Scope> = Effect.fnUntraced(function* (options) {
  const device = { databases: new IDBFactory(), namespace: randomName() }
  const outer = yield* Effect.scope
  const open = Effect.fnUntraced(function* (offline: boolean) {
    const scope = yield* Scope.fork(outer)
    return { scope, client: yield* Scope.provide(openClient({ ...options, device, offline }), scope) }
  })
  let app = yield* open(false)
  let isAway = false
  let resets = 0
  const reopen = Effect.gen(function* () {
    const { client, scope } = app
    yield* Scope.close(scope, Exit.void)
    resets += client.resets()
    app = yield* open(true)
    yield* Effect.promise(() => reindex(app.client))
    if (!isAway) yield* app.client.goOnline
  })
  return {
    user: options.user,
    client: () => app.client,
    isAway: () => isAway,
    resets: () => resets + app.client.resets(),
    needsReopening: () => app.client.resets() > 0 || app.client.hasFailed(),
    goOffline: Effect.suspend(() => {
      isAway = true
      return app.client.hasFailed() ? Effect.void : app.client.goOffline
    }),
    goOnline: Effect.suspend(() => {
      isAway = false
      return app.client.hasFailed() ? reopen : app.client.goOnline
    }),
    reopen
  }
})
