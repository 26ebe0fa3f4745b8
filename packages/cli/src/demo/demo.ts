/** The page of `serve --dev`: its files, its routes, and the restarts that it asks for. */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { pageRoutes } from "../pages/pageRoutes.ts"
import { DEMO_LIBRARY, demoRoutes } from "./demoRoutes.ts"
import { DevAuthRoute } from "./devAuth.ts"

/** How long the server is down: long enough to see it and to write something. */
const DOWN = "4 seconds"

/** `folder`: the files of the page. */
export const makeDemo = (folder: string) => {
  let asked = Deferred.makeUnsafe<void>()
  let starts = 0
  return {
    library: DEMO_LIBRARY,
    routes: Layer.mergeAll(
      DevAuthRoute,
      demoRoutes(() => void Deferred.doneUnsafe(asked, Effect.void)),
      // The editor writes its styles by script.
      pageRoutes({ folder, path: "/", inlineStyles: true })
    ),
    isFirstStart: () => starts === 1,
    /**
     * Runs a server. When the page asks, it closes its sockets, rooms and storage, and after a pause it runs again in this
     * process, with nothing but the log.
     */
    withRestarts: <E, R>(server: Effect.Effect<never, E, R>): Effect.Effect<never, E, R> =>
      Effect.gen(function* () {
        while (true) {
          starts += 1
          asked = Deferred.makeUnsafe()
          yield* Effect.raceFirst(server, Deferred.await(asked))
          yield* Effect.sleep(DOWN)
        }
      })
  }
}
