/**
 * Revokes tokens, and suspends libraries. Servers on the log close the affected connections within a second, and admit no
 * new ones.
 */
import { Clock, Effect, Result } from "effect"
import {
  type AdministrationEvent,
  type Attribution,
  decide,
  fold,
  libraryAdministration,
  serverAdministration,
  toNewEvent
} from "../domain/Administration.ts"
import type { LibraryId } from "../domain/Ids.ts"
import { EventLog } from "../ports/EventLog.ts"
import { appendDecided } from "./appendDecision.ts"

/** Closes a library to all clients until it is resumed. Returns whether that changed anything. */
export const suspend = (libraryId: LibraryId, by: Attribution = {}) =>
  administer(libraryId, { _tag: "LibrarySuspended", ...by }, "sync-admin suspend")

/** Opens a suspended library again. Returns whether that changed anything. */
export const resume = (libraryId: LibraryId, by: Attribution = {}) =>
  administer(libraryId, { _tag: "LibraryResumed", ...by }, "sync-admin resume")

/** Returns whether a library is suspended. */
export const isSuspended = Effect.fn("isSuspended")(function* (libraryId: LibraryId) {
  const { events } = yield* (yield* EventLog).tail(libraryAdministration(libraryId), { payloads: false })
  return fold(events.map(({ event }) => event)).isSuspended
})

export interface Revocations {
  /** The `jti` of single tokens. */
  readonly tokens: ReadonlyArray<string>
  /** Tokens of these users that were issued at `before` or earlier are revoked. Milliseconds since 1970. */
  readonly users: ReadonlyArray<{ readonly userId: string; readonly before: number }>
  /** All tokens that were issued at this time or earlier; null: none. */
  readonly before: number | null
}

/** The tokens that are revoked in one library; without a library, those that are revoked in every library. */
export const revocations = Effect.fn("revocations")(function* (libraryId?: LibraryId) {
  const key = libraryId === undefined ? serverAdministration : libraryAdministration(libraryId)
  const { events } = yield* (yield* EventLog).tail(key, { payloads: false })
  const { before, tokens, users } = fold(events.map(({ event }) => event))
  return {
    tokens: Array.from(tokens),
    users: Array.from(users, ([userId, until]) => ({ userId, before: until })),
    before: Number.isFinite(before) ? before : null
  } satisfies Revocations
})

export type Revocation =
  /** One token, by its `jti`; for every library unless one is named. */
  | { readonly tokenId: string; readonly libraryId?: LibraryId }
  /** Every token of a user (`sub`) issued until now; for every library unless one is named. */
  | { readonly userId: string; readonly libraryId?: LibraryId }
  /** Every token of a library issued until now. */
  | { readonly libraryId: LibraryId }

/** Makes tokens invalid. Returns whether that changed anything. */
export const revoke = Effect.fn("revoke")(function* (revocation: Revocation, by: Attribution = {}) {
  const before = yield* Clock.currentTimeMillis
  const event: AdministrationEvent =
    "tokenId" in revocation
      ? { _tag: "TokenRevoked", tokenId: revocation.tokenId }
      : "userId" in revocation
        ? { _tag: "UserRevoked", userId: revocation.userId, before }
        : { _tag: "TokensRevoked", before }
  return yield* administer(revocation.libraryId, { ...event, ...by }, "sync-admin token revoke")
})

/** Forgets the signing keys that a user is bound to: the next ones are the user's. Returns whether there were any. */
export const forgetKeys = (libraryId: LibraryId, userId: string, by: Attribution = {}) =>
  administer(libraryId, { _tag: "SigningKeysForgotten", userId, ...by }, "sync-admin token keys forget")

/** Appends an operator's event to an administrative stream, unless it would change nothing; returns whether it did. */
export const administer = Effect.fnUntraced(function* (
  libraryId: LibraryId | undefined,
  wanted: AdministrationEvent,
  origin: string
) {
  const key = libraryId === undefined ? serverAdministration : libraryAdministration(libraryId)
  const decided = yield* appendDecided(key, { origin }, (tail) =>
    Result.map(decide(fold(tail.map(({ event }) => event)), wanted), (event) => ({ event: toNewEvent(event) }))
  )
  return Result.isSuccess(decided)
})
