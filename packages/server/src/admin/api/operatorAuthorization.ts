/** Admits the requests of operators: those with a valid token that is not revoked. */
import { Effect, Layer, Redacted } from "effect"
import { fold, isRevoked, serverAdministration } from "../../domain/Administration.ts"
import { AdminAccess, type Administrator } from "../../ports/AdminAccess.ts"
import { EventLog } from "../../ports/EventLog.ts"
import { Authorization, CurrentOperator } from "./AdminApi.ts"
import { NotAdministrator } from "./AdminErrors.ts"
import { orUnavailable } from "./failures.ts"

export const operatorAuthorization = Layer.effect(
  Authorization,
  Effect.gen(function* () {
    const access = yield* AdminAccess
    const log = yield* EventLog
    return Authorization.of({
      bearer: Effect.fnUntraced(function* (respond, { credential }) {
        const administrator = yield* access
          .verify(Redacted.value(credential))
          .pipe(Effect.catch(({ message }) => Effect.fail(new NotAdministrator({ message }))))
        if (yield* isTokenRevoked(log, administrator)) {
          return yield* new NotAdministrator({ message: "The token was revoked." })
        }
        return yield* Effect.provideService(respond, CurrentOperator, administrator.name)
      })
    })
  })
)

/** `sync-admin token revoke` ends an operator's tokens as well, by their ids or by the operator's name as the user. */
const isTokenRevoked = Effect.fnUntraced(function* (
  log: EventLog["Service"],
  { issuedAt, name, tokenId }: Administrator
) {
  const { events } = yield* orUnavailable(log.tail(serverAdministration, { payloads: false }))
  const state = fold(events.map(({ event }) => event))
  return isRevoked(state, { userId: name, tokenId, issuedAt })
})
