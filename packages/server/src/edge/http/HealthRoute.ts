/** `GET /healthz`: 200 while the storage answers and commits, 503 with the reason when it does not. */
import { Effect, Option } from "effect"
import { HttpRouter, HttpServerResponse } from "effect/http"
import type { LibraryId } from "../../domain/Ids.ts"
import { withPatience } from "../../internal/timeouts.ts"
import { EventLog } from "../../ports/EventLog.ts"
import { Committer } from "../../rooms/Committer.ts"

/** A storage that takes longer than this to find nothing is not healthy. */
const PROBE_TIMEOUT = "2 seconds"
const probe = { libraryId: "@health" as LibraryId, streamId: "@health" }

export const HealthRoute = HttpRouter.add(
  "GET",
  "/healthz",
  Effect.gen(function* () {
    const log = yield* EventLog
    const committer = yield* Committer
    const answer = yield* Effect.option(withPatience(log.heads([probe]), PROBE_TIMEOUT))
    if (Option.isNone(answer)) return unhealthy("the storage cannot be read")
    if (Option.isNone(answer.value)) return unhealthy("the storage does not answer in time")
    if (committer.failing()) return unhealthy("the last commit failed")
    return HttpServerResponse.jsonUnsafe({ status: "ok" })
  })
)

const unhealthy = (reason: string) => HttpServerResponse.jsonUnsafe({ status: "unhealthy", reason }, { status: 503 })
