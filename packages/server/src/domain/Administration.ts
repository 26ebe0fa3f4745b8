/**
 * What an operator decided of a library or of the whole server, in streams of our own: who is kept out, and since when.
 * Pure, like the rules of documents.
 */
import { Result, Schema } from "effect"
import type { LibraryId } from "./Ids.ts"
import type { NewEvent, StreamEvent, StreamKey } from "./Stream.ts"

/** The stream of a library's own administration. */
export const libraryAdministration = (libraryId: LibraryId): StreamKey => ({ libraryId, streamId: "@library" })

/** What holds for every library. No token can name this one. */
export const serverAdministration: StreamKey = { libraryId: "@server" as LibraryId, streamId: "@access" }

/** Whether a stream is one of these, and not a document. */
export const isAdministration = ({ libraryId, streamId }: StreamKey): boolean =>
  streamId === "@library" ||
  (libraryId === serverAdministration.libraryId && streamId === serverAdministration.streamId)

// ---------------------------------------------------------------------------------------------------------- events

/** Milliseconds since 1970: tokens that were issued at this moment or before are good no more. */
const Before = Schema.Finite
const Name = Schema.NonEmptyString.check(Schema.isMaxLength(200))

export const AdministrationEvent = Schema.Union([
  Schema.TaggedStruct("LibrarySuspended", {}),
  Schema.TaggedStruct("LibraryResumed", {}),
  /** `jti` */
  Schema.TaggedStruct("TokenRevoked", { tokenId: Name }),
  /** `sub` */
  Schema.TaggedStruct("UserRevoked", { userId: Name, before: Before }),
  Schema.TaggedStruct("TokensRevoked", { before: Before })
])
export type AdministrationEvent = typeof AdministrationEvent.Type

export const toNewEvent = ({ _tag, ...data }: AdministrationEvent): NewEvent => ({
  type: _tag,
  data,
  payloadHash: "",
  checkpoint: false
})

const decodeEvent = Schema.decodeUnknownSync(AdministrationEvent)

/** The event that a stream holds. Throws when the row is not one of ours. */
export const fromStreamEvent = (event: StreamEvent): AdministrationEvent =>
  decodeEvent({ ...event.data, _tag: event.type })

// ----------------------------------------------------------------------------------------------------------- state

export interface AdministrationState {
  readonly isSuspended: boolean
  readonly tokens: ReadonlySet<string>
  readonly users: ReadonlyMap<string, number>
  readonly before: number
}

export const initial: AdministrationState = {
  isSuspended: false,
  tokens: new Set(),
  users: new Map(),
  before: Number.NEGATIVE_INFINITY
}

export const evolve = (state: AdministrationState, event: AdministrationEvent): AdministrationState => {
  switch (event._tag) {
    case "LibrarySuspended":
      return { ...state, isSuspended: true }
    case "LibraryResumed":
      return { ...state, isSuspended: false }
    case "TokenRevoked":
      return { ...state, tokens: new Set(state.tokens).add(event.tokenId) }
    case "UserRevoked":
      return { ...state, users: new Map(state.users).set(event.userId, event.before) }
    case "TokensRevoked":
      return { ...state, before: event.before }
  }
}

export const fold = (events: Iterable<StreamEvent>): AdministrationState => {
  let state = initial
  for (const event of events) state = evolve(state, fromStreamEvent(event))
  return state
}

// ------------------------------------------------------------------------------------------------------- decisions

/** It is so already. */
export interface NothingToDo {
  readonly _tag: "NothingToDo"
}

/** An operator's wish becomes an event unless it would change nothing. */
export const decide = (
  state: AdministrationState,
  wish: AdministrationEvent
): Result.Result<AdministrationEvent, NothingToDo> =>
  changes(state, wish) ? Result.succeed(wish) : Result.fail({ _tag: "NothingToDo" })

const changes = (state: AdministrationState, wish: AdministrationEvent): boolean => {
  switch (wish._tag) {
    case "LibrarySuspended":
      return !state.isSuspended
    case "LibraryResumed":
      return state.isSuspended
    case "TokenRevoked":
      return !state.tokens.has(wish.tokenId)
    case "UserRevoked":
      return (state.users.get(wish.userId) ?? Number.NEGATIVE_INFINITY) < wish.before
    case "TokensRevoked":
      return state.before < wish.before
  }
}

/** A bearer, as far as a revocation can name it. */
export interface Bearer {
  readonly userId: string
  readonly tokenId: string | undefined
  /** Seconds since 1970; a token that does not say when it was issued is taken for older than any revocation. */
  readonly issuedAt: number | undefined
}

export const isRevoked = (state: AdministrationState, { userId, tokenId, issuedAt = 0 }: Bearer): boolean => {
  const since = issuedAt * 1000
  return (
    since <= state.before ||
    since <= (state.users.get(userId) ?? Number.NEGATIVE_INFINITY) ||
    (tokenId !== undefined && state.tokens.has(tokenId))
  )
}
