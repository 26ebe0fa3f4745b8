/**
 * - `GET /livez`: 200 while the process answers at all. A supervisor restarts a process that does not.
 * - `GET /readyz`: 200 while the storage can be read, commits succeed, and commands are answered; otherwise 503 with the
 *   reason. A load balancer sends no clients to a server that is not ready.
 * - `GET /healthz`: the same, for a probe that knows one path. Its 200 carries a warning if the log is damaged somewhere: the
 *   clients of that stream are closed, and the others need this server.
 */
import { Clock, Effect, Layer, Option } from "effect"
import { HttpRouter, HttpServerResponse } from "effect/http"
import type { LibraryId } from "../../domain/Ids.ts"
import { streamName } from "../../domain/Stream.ts"
import { withPatience } from "../../internal/timeouts.ts"
import { EventLog } from "../../ports/EventLog.ts"
import { CurrentWorkers, type Health } from "../../ports/Workers.ts"
import { DocumentRooms } from "../../protocols/secsync/Rooms.ts"
import { LibraryRooms } from "../../protocols/verdant/Rooms.ts"
import { Committer } from "../../rooms/Committer.ts"
import { Damage } from "../../rooms/Damage.ts"
import { LogEpoch } from "../../rooms/LogEpoch.ts"

/** The paths of probes, which need no token. */
export const HEALTH_PATHS: ReadonlySet<string> = new Set(["/livez", "/readyz", "/healthz"])

/** A healthy storage reads the head of a stream that does not exist in less than this. */
const PROBE_TIMEOUT = "2 seconds"
const probe = { libraryId: "@health" as LibraryId, streamId: "@health" }

/** A commit that takes longer makes the server unhealthy, and so does a room in which nothing moves for longer. */
const STALL_MILLIS = 10_000

/** How long one answer of the storage holds. Requests need no token, so that many of them must not reach the storage. */
const PROBE_TTL = "1 second"

/** Makes the look at the server's health. Many looks at a time are one at the storage. */
export const makeHealth = Effect.gen(function* () {
  const log = yield* EventLog
  const committer = yield* Committer
  const epoch = yield* LogEpoch
  const damage = yield* Damage
  const rooms = [yield* DocumentRooms, yield* LibraryRooms]
  const heads = Effect.suspend(() => log.heads([probe]))
  const storage = yield* Effect.cachedWithTTL(Effect.option(withPatience(heads, PROBE_TIMEOUT)), PROBE_TTL)
  return Effect.gen(function* (): Effect.fn.Return<Health> {
    const answer = yield* storage
    if (Option.isNone(answer)) return unhealthy("the storage cannot be read")
    if (Option.isNone(answer.value)) return unhealthy(`the storage does not answer within ${PROBE_TIMEOUT}`)
    if (epoch.isUnmarked()) return unhealthy("the log was restored from a backup, and the server opens it again")
    if (epoch.current().isStandby) return unhealthy("the log is a standby of another one")
    if (committer.failing()) return unhealthy("the last commit failed; the server log has the cause")
    const latest = (yield* Clock.currentTimeMillis) - STALL_MILLIS
    const since = committer.committingSince()
    if (since !== undefined && since <= latest) return unhealthy("a commit has not finished for 10 seconds")
    for (const { longestWait } of rooms) {
      const wait = longestWait()
      if (wait === undefined || wait.since > latest) continue
      // The answer is public, so it does not name the stream.
      yield* Effect.logWarning(`${streamName(wait.key)} has not answered since ${new Date(wait.since).toISOString()}`)
      return unhealthy("a room has not answered for 10 seconds; the server log names it")
    }
    return damage.places() === 0 ? ({ status: "ok" } as const) : ({ status: "ok", warning: DAMAGED } as const)
  })
})

/** The answer is public, so it names no stream. */
const DAMAGED = "the log is damaged; the server log and `sync-admin doctor` name the streams"

const unhealthy = (reason: string) => ({ status: "unhealthy", reason }) as const

/** `own`: the health of this process. */
export const HealthRoute = (own: Effect.Effect<Health>) =>
  Layer.unwrap(
    Effect.gen(function* () {
      const workers = yield* CurrentWorkers
      const health = workers === undefined ? own : yield* Effect.cachedWithTTL(workers.health, PROBE_TTL)
      const answer = Effect.map(health, (found) =>
        HttpServerResponse.jsonUnsafe(found, { status: found.status === "ok" ? 200 : 503 })
      )
      return Layer.mergeAll(
        HttpRouter.add("GET", "/livez", HttpServerResponse.jsonUnsafe({ status: "ok" })),
        HttpRouter.add("GET", "/readyz", answer),
        HttpRouter.add("GET", "/healthz", answer)
      )
    })
  )
