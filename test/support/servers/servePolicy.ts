/**
 * A program like `sync-admin serve` whose app has a policy: the users whose names are in a folder have no access. The app's
 * own route `POST /remove/:library/:user` adds a name and calls `Access.changed`.
 */
import { existsSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { Access, JwtAccess, LibraryId } from "@sealog/server"
import { Effect, Layer } from "effect"
import { HttpRouter, HttpServerResponse } from "effect/http"
import { removed, serveWith } from "./serveWith.ts"

const access = Access.layerWithPolicy(({ userId }) => Effect.sync(() => !existsSync(join(removed, userId))))

const routes = HttpRouter.add(
  "POST",
  "/remove/:library/:user",
  Effect.gen(function* () {
    const { library = "", user = "" } = yield* HttpRouter.params
    writeFileSync(join(removed, user), "")
    yield* Effect.orDie(Access.changed({ libraryId: LibraryId.make(library), userId: user }))
    return HttpServerResponse.text("removed")
  })
)

serveWith({ routes }, Layer.provide(access, JwtAccess.layerConfig))
