/**
 * Turns clients away whose token, user or library an operator revoked or suspended, on every process.
 *
 * A client that connects is checked against the log itself. A client that is connected is sent away as soon as a signal
 * says that an administrative stream has grown.
 */
import { Context, Effect, Layer, Schema, type Scope } from "effect"
import { type AdministrationState, isRevoked, serverAdministration } from "../domain/Administration.ts"
import { onScopeClose } from "../internal/finalizers.ts"
import type { Grant } from "../ports/Access.ts"
import type { StorageUnavailable } from "../ports/EventLog.ts"
import { Administrations } from "./Administrations.ts"

/** The token is valid, but an operator revoked it, or suspended or deleted its library. */
export class GrantEnded extends Schema.TaggedError<GrantEnded>()("GrantEnded", {
  /** "revoked" and "deleted" are final; a suspended library may be resumed. */
  reason: Schema.Literals(["revoked", "suspended", "deleted"])
}) {}

export class AdmissionControl extends Context.Service<
  AdmissionControl,
  {
    /**
     * Checks a grant against the log as it is now, and fails with `GrantEnded` if the grant does not hold. Until the scope
     * closes, `leave` is called when the grant ends; it may be called more than once.
     */
    readonly admit: (
      grant: Grant,
      leave: (reason: GrantEnded) => void
    ) => Effect.Effect<void, GrantEnded | StorageUnavailable, Scope.Scope>
  }
>()("@sealog/server/Administration") {
  static readonly layer = Layer.effect(
    AdmissionControl,
    Effect.gen(function* () {
      const administrations = yield* Administrations

      const admit = Effect.fnUntraced(function* (grant: Grant, leave: (reason: GrantEnded) => void) {
        const all = [
          yield* administrations.get(serverAdministration.libraryId),
          yield* administrations.get(grant.libraryId)
        ]
        const listener = (state: AdministrationState) => {
          const reason = reasonToLeave(state, grant)
          if (reason !== undefined) leave(new GrantEnded({ reason }))
        }
        yield* onScopeClose(() => all.forEach(({ listeners }) => void listeners.delete(listener)))
        for (const { listeners } of all) listeners.add(listener)
        yield* administrations.refresh(all)
        for (const administration of all) {
          const reason = reasonToLeave(administration.state(), grant)
          if (reason !== undefined) return yield* new GrantEnded({ reason })
        }
      })

      return AdmissionControl.of({ admit })
    })
  ).pipe(Layer.provide(Administrations.layer))
}

const reasonToLeave = (state: AdministrationState, grant: Grant): GrantEnded["reason"] | undefined => {
  if (state.isDeleted) return "deleted"
  if (isRevoked(state, grant)) return "revoked"
  return state.isSuspended ? "suspended" : undefined
}
