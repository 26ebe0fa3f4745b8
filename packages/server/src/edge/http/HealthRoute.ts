/** `GET /healthz`: 200 while the storage can be read and commits succeed, otherwise 503 with the reason. */
import { Effect, Option } from "effect"
import { HttpRouter, HttpServerResponse } from "effect/http"
import type { LibraryId } from "../../domain/Ids.ts"
import { withPatience } from "../../internal/timeouts.ts"
import { EventLog } from "../../ports/EventLog.ts"
import { Committer } from "../../rooms/Committer.ts"

/** A healthy storage reads the head of a stream that does not exist in less than this. */
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
    if (Option.isNone(answer.value)) return unhealthy(`the storage does not answer within ${PROBE_TIMEOUT}`)
    if (committer.failing()) return unhealthy("the last commit failed; the server log has the cause")
    return HttpServerResponse.jsonUnsafe({ status: "ok" })
  })
)

const unhealthy = (reason: string) => HttpServerResponse.jsonUnsafe({ status: "unhealthy", reason }, { status: 503 })
