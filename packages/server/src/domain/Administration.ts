/**
 * The rules of administrative streams: they say which tokens, users and libraries an operator revoked, suspended or deleted, and which
 * quota the operator gave a library. There is one such stream for each library and one for the whole server. Pure, like the rules of documents.
 */
import { HashMap, Option, Result, Schema, Struct } from "effect"
import { type LibraryId, PublicKey } from "./Ids.ts"
import { isSameChange, Quota, type QuotaChange } from "./Quota.ts"
import type { NewEvent, StreamEvent, StreamKey } from "./Stream.ts"

/** The administrative stream of one library. */
export const libraryAdministration = (libraryId: LibraryId): StreamKey => ({ libraryId, streamId: "@library" })

/** The administrative stream of the server, which holds for every library. No token can name its library id. */
export const serverAdministration: StreamKey = { libraryId: "@server" as LibraryId, streamId: "@access" }

/** True for an administrative stream, false for a document. */
export const isAdministration = ({ libraryId, streamId }: StreamKey): boolean =>
  streamId === "@library" ||
  (libraryId === serverAdministration.libraryId && streamId === serverAdministration.streamId)

// ---------------------------------------------------------------------------------------------------------- events

/** Milliseconds since 1970: tokens that were issued at or before this time are revoked. */
const Before = Schema.Finite
const Name = Schema.NonEmptyString.check(Schema.isMaxLength(200))
const optionalName = Schema.optionalKey(Name)
/** A document's id: up to 200 characters, of two units each. */
const documentName = Schema.NonEmptyString.check(Schema.isMaxLength(400))
const optionalDocument = Schema.optionalKey(documentName)

/** No control characters and no lone surrogates: the text is shown in terminals. */
const line = (maxLength: number) =>
  Schema.NonEmptyString.check(Schema.isMaxLength(maxLength), Schema.isPattern(/^[^\p{Cc}\p{Cs}\p{Zl}\p{Zp}]+$/u))

/** The name of an operator. */
export const Operator = line(200)
/** An operator's reason for a command. */
export const Reason = line(500)

/** The operator who gave a command, and why. Older events have neither. */
export const Attribution = Schema.Struct({ operator: Schema.optionalKey(Operator), reason: Schema.optionalKey(Reason) })
export type Attribution = typeof Attribution.Type

const byOperator = <Tag extends string, Fields extends Schema.Struct.Fields>(tag: Tag, fields: Fields) =>
  Schema.TaggedStruct(tag, { ...fields, ...Attribution.fields })

export const AdministrationEvent = Schema.Union([
  byOperator("LibrarySuspended", {}),
  byOperator("LibraryResumed", {}),
  /** The library was deleted for good, and no client can make one of its name until it is allowed again. */
  byOperator("LibraryDeleted", {}),
  byOperator("LibraryAllowedAgain", {}),
  /** One document was deleted for good, or allowed again. Changes no state: the document's own stream says so. */
  byOperator("DocumentDeleted", { documentId: documentName }),
  byOperator("DocumentAllowedAgain", { documentId: documentName }),
  /** `tokenId` is the token's `jti`. */
  byOperator("TokenRevoked", { tokenId: Name }),
  /** `userId` is the token's `sub`. */
  byOperator("UserRevoked", { userId: Name, before: Before }),
  byOperator("TokensRevoked", { before: Before }),
  /** The app's rights have changed for the connections that match all of the given fields. Changes no state. */
  Schema.TaggedStruct("AccessChanged", { userId: optionalName, tokenId: optionalName, documentId: optionalDocument }),
  /** A Secsync key that is the user's from now on, because the server saw the user sign with it first. */
  Schema.TaggedStruct("SigningKeyBound", { userId: Name, pubKey: PublicKey }),
  /** The user has no keys any more, and is bound to the next ones. */
  byOperator("SigningKeysForgotten", { userId: Name }),
  /** The parts of the library's quota that are not the server's. A part that is missing is the server's from now on. */
  byOperator("QuotaSet", Quota.mapFields(Struct.map(Schema.optionalKey)).fields)
])
export type AdministrationEvent = typeof AdministrationEvent.Type

const decodeEvent = Schema.decodeUnknownSync(AdministrationEvent)

/** The event as it is appended. Throws when a field is not valid: an event that cannot be read would close its library. */
export const toNewEvent = (event: AdministrationEvent): NewEvent => {
  const { _tag, ...data } = decodeEvent(event)
  return { type: _tag, data, payloadHash: "", checkpoint: false }
}

/** Decodes a stream's event. Throws when it is not an administrative event. */
export const fromStreamEvent = (event: StreamEvent): AdministrationEvent =>
  decodeEvent({ ...event.data, _tag: event.type })

// ----------------------------------------------------------------------------------------------------------- state

export interface AdministrationState {
  readonly isSuspended: boolean
  readonly isDeleted: boolean
  readonly tokens: ReadonlySet<string>
  readonly users: ReadonlyMap<string, number>
  readonly before: number
  readonly quota: QuotaChange
  /** The keys that users are bound to, in the order in which they were seen. */
  readonly signingKeys: HashMap.HashMap<string, ReadonlyArray<PublicKey>>
  readonly keyOwners: HashMap.HashMap<PublicKey, string>
}

export const initial: AdministrationState = {
  isSuspended: false,
  isDeleted: false,
  tokens: new Set(),
  users: new Map(),
  before: Number.NEGATIVE_INFINITY,
  quota: {},
  signingKeys: HashMap.empty(),
  keyOwners: HashMap.empty()
}

export const evolve = (state: AdministrationState, event: AdministrationEvent): AdministrationState => {
  switch (event._tag) {
    case "LibrarySuspended":
      return { ...state, isSuspended: true }
    case "LibraryResumed":
      return { ...state, isSuspended: false }
    case "LibraryDeleted":
      return { ...state, isDeleted: true }
    case "LibraryAllowedAgain":
      return { ...state, isDeleted: false }
    case "TokenRevoked":
      return { ...state, tokens: new Set(state.tokens).add(event.tokenId) }
    case "UserRevoked":
      return { ...state, users: new Map(state.users).set(event.userId, event.before) }
    case "TokensRevoked":
      return { ...state, before: event.before }
    case "QuotaSet": {
      const { _tag, operator, reason, ...quota } = event
      return { ...state, quota }
    }
    case "SigningKeyBound": {
      const { pubKey, userId } = event
      const keys = [...keysOf(state, userId), pubKey]
      const signingKeys = HashMap.set(state.signingKeys, userId, keys)
      return { ...state, signingKeys, keyOwners: HashMap.set(state.keyOwners, pubKey, userId) }
    }
    case "SigningKeysForgotten": {
      let { keyOwners } = state
      for (const key of keysOf(state, event.userId)) keyOwners = HashMap.remove(keyOwners, key)
      return { ...state, keyOwners, signingKeys: HashMap.remove(state.signingKeys, event.userId) }
    }
    case "DocumentDeleted":
    case "DocumentAllowedAgain":
    case "AccessChanged":
      return state
  }
}

const keysOf = ({ signingKeys }: AdministrationState, userId: string): ReadonlyArray<PublicKey> =>
  Option.getOrUndefined(HashMap.get(signingKeys, userId)) ?? []

export const fold = (events: Iterable<StreamEvent>): AdministrationState => {
  let state = initial
  for (const event of events) state = evolve(state, fromStreamEvent(event))
  return state
}

// ------------------------------------------------------------------------------------------------------- decisions

/** The state is as the command would make it. */
export interface NothingToDo {
  readonly _tag: "NothingToDo"
}

/** Accepts an operator's command as an event, unless it would change nothing. */
export const decide = (
  state: AdministrationState,
  command: AdministrationEvent
): Result.Result<AdministrationEvent, NothingToDo> =>
  changes(state, command) ? Result.succeed(command) : Result.fail({ _tag: "NothingToDo" })

const changes = (state: AdministrationState, command: AdministrationEvent): boolean => {
  switch (command._tag) {
    case "LibrarySuspended":
      return !state.isSuspended
    case "LibraryResumed":
      return state.isSuspended
    case "LibraryDeleted":
      return !state.isDeleted
    case "LibraryAllowedAgain":
      return state.isDeleted
    case "TokenRevoked":
      return !state.tokens.has(command.tokenId)
    case "UserRevoked":
      return (state.users.get(command.userId) ?? Number.NEGATIVE_INFINITY) < command.before
    case "TokensRevoked":
      return state.before < command.before
    case "QuotaSet":
      return !isSameChange(state.quota, command)
    case "SigningKeyBound":
      return !HashMap.has(state.keyOwners, command.pubKey)
    case "SigningKeysForgotten":
      return HashMap.has(state.signingKeys, command.userId)
    case "DocumentDeleted":
    case "DocumentAllowedAgain":
    case "AccessChanged":
      return true
  }
}

/** The claims of a token that a revocation can name. */
export interface Bearer {
  readonly userId: string
  readonly tokenId: string | undefined
  /** Seconds since 1970. A token without this claim counts as older than any revocation. */
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
