/**
 * Binds each user of a library to the signing keys with which the server saw the user first, if the server is set to. The keys
 * are events of the library's administrative stream, so every process holds users to the same ones.
 */
import { Context, Effect, HashMap, Layer, Option } from "effect"
import { type AdministrationState, fold, libraryAdministration, toNewEvent } from "../domain/Administration.ts"
import type { PublicKey } from "../domain/Ids.ts"
import type { Grant } from "../ports/Access.ts"
import { EventLog, type StorageUnavailable } from "../ports/EventLog.ts"
import { Signals } from "../ports/Signals.ts"
import { Administrations } from "./Administrations.ts"
import { appendAfter, attemptUntilFirst } from "./optimisticAppend.ts"

export class SigningKeys extends Context.Service<
  SigningKeys,
  {
    /**
     * Returns whether a key is the user's. A key without an owner becomes the user's, durably, if the user has fewer than
     * `keysPerUser`. undefined: users are not bound to keys.
     */
    readonly claim: ((grant: Grant, pubKey: PublicKey) => Effect.Effect<boolean, StorageUnavailable>) | undefined
  }
>()("@sealog/server/SigningKeys") {
  static readonly layer = (keysPerUser?: number) =>
    Layer.effect(
      SigningKeys,
      Effect.gen(function* () {
        if (keysPerUser === undefined) return SigningKeys.of({ claim: undefined })
        const administrations = yield* Administrations
        const [log, signals] = [yield* EventLog, yield* Signals]
        const claim = Effect.fnUntraced(function* ({ libraryId, userId }: Grant, pubKey: PublicKey) {
          const known = yield* administrations.get(libraryId)
          // A cached state may say yes, never no: another process may have forgotten keys since.
          if (verdictOf(known.state(), userId, pubKey, keysPerUser) === "own") return true
          const key = libraryAdministration(libraryId)
          const attempt = Effect.gen(function* () {
            const { events, head } = yield* log.tail(key, { payloads: false })
            const verdict = verdictOf(fold(events.map(({ event }) => event)), userId, pubKey, keysPerUser)
            if (verdict !== "free") return verdict
            const event = toNewEvent({ _tag: "SigningKeyBound", userId, pubKey })
            return (yield* appendAfter(log, key, head, { event, origin: ORIGIN })) ? "bound" : undefined
          })
          const verdict = yield* attemptUntilFirst(log, key, attempt)
          if (verdict === "bound") yield* signals.announce([key])
          return verdict !== "refused"
        }, Effect.scoped)
        return SigningKeys.of({ claim })
      })
    ).pipe(Layer.provide(Administrations.layer))
}

const ORIGIN = "@keys"

const verdictOf = (
  { keyOwners, signingKeys }: AdministrationState,
  userId: string,
  pubKey: PublicKey,
  keysPerUser: number
): "own" | "free" | "refused" => {
  const owner = Option.getOrUndefined(HashMap.get(keyOwners, pubKey))
  if (owner !== undefined) return owner === userId ? "own" : "refused"
  const keys = Option.getOrUndefined(HashMap.get(signingKeys, userId)) ?? []
  return keys.length < keysPerUser ? "free" : "refused"
}
