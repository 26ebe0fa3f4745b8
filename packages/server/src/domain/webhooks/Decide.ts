/** The rules of a webhook: one process delivers at a time, versions only rise, and a library that stopped waits for an operator. */
import { HashMap, Option, Result } from "effect"
import type { LibraryId } from "../Ids.ts"
import { allAtOnce, mapped, STEP_ITEMS, type Steps } from "../Steps.ts"
import { type StreamEvent, WEBHOOK_KEPT, WEBHOOK_REMOVED } from "../Stream.ts"
import {
  contentIn,
  fromStreamEvent,
  type Stop,
  type WebhookAdded,
  type WebhookContent,
  type WebhookEvent
} from "./Events.ts"

export interface WebhookState {
  /** undefined: it was not added, or it was removed. */
  readonly settings: typeof WebhookAdded.Type | undefined
  readonly isRemoved: boolean
  /** undefined: the payload that holds it was purged. */
  readonly secret: string | undefined
  /** The process that delivers, or delivered last. */
  readonly claim: { readonly owner: string; readonly until: number } | undefined
  /** The last version that was delivered, by the stream's name. A stream that is missing begins with its first change. */
  readonly positions: HashMap.HashMap<string, number>
  /** The libraries that wait for an operator. */
  readonly stops: HashMap.HashMap<LibraryId, Stop>
  readonly createdAt: number
  /** When versions were last recorded as delivered, milliseconds since 1970. */
  readonly advancedAt: number | undefined
}

export const initial: WebhookState = {
  settings: undefined,
  isRemoved: false,
  secret: undefined,
  claim: undefined,
  positions: HashMap.empty(),
  stops: HashMap.empty(),
  createdAt: 0,
  advancedAt: undefined
}

/** Throws when the event or its payload cannot be decoded. */
export const evolve = (before: WebhookState, event: StreamEvent, payload: Uint8Array | null): WebhookState =>
  allAtOnce(evolved(before, event, payload))

/** `evolve` in steps: a payload names every stream of a log. */
export const evolved = function* (
  before: WebhookState,
  event: StreamEvent,
  payload: Uint8Array | null
): Steps<WebhookState> {
  const decoded = fromStreamEvent(event)
  const state = "owner" in decoded ? { ...before, claim: { owner: decoded.owner, until: decoded.until } } : before
  switch (decoded._tag) {
    case "WebhookAdded": {
      const added = { ...state, settings: decoded, createdAt: event.recordedAt }
      return payload === null ? added : yield* withContent(added, yield* contentIn(payload))
    }
    case "WebhookClaimed":
      return state
    case "WebhookAdvanced": {
      let { positions } = state
      for (const [name, version] of decoded.positions) positions = HashMap.set(positions, name, version)
      // A process that only keeps the webhook to itself writes none.
      const advancedAt = decoded.positions.length > 0 ? event.recordedAt : state.advancedAt
      return { ...state, positions, advancedAt }
    }
    case "WebhookStopped": {
      const { attempts, libraryId, problem, streamId, version } = decoded
      const stop = { attempts, problem, streamId, version, since: event.recordedAt }
      return { ...state, stops: HashMap.set(state.stops, libraryId, stop) }
    }
    case "WebhookReplayed": {
      let { positions, stops } = state
      for (const [libraryId, { streamId, version }] of replayedOf(state, decoded.libraryId)) {
        stops = HashMap.remove(stops, libraryId)
        if (decoded.skip) positions = HashMap.set(positions, `${libraryId}/${streamId}`, version)
      }
      return { ...state, positions, stops }
    }
    case WEBHOOK_KEPT:
      return payload === null ? state : yield* withContent(state, yield* contentIn(payload))
    case WEBHOOK_REMOVED:
      return { ...initial, isRemoved: true }
  }
}

const withContent = function* (
  state: WebhookState,
  { advancedAt, createdAt, positions, secret, settings, stops }: WebhookContent
): Steps<WebhookState> {
  return {
    ...state,
    ...(settings !== undefined && { settings }),
    ...(createdAt !== undefined && { createdAt }),
    ...(advancedAt !== undefined && { advancedAt }),
    secret,
    positions: yield* mapOf(positions),
    stops: yield* mapOf(stops)
  }
}

const mapOf = function* <K, V>(entries: ReadonlyArray<readonly [K, V]>): Steps<HashMap.HashMap<K, V>> {
  const map = HashMap.beginMutation(HashMap.empty<K, V>())
  let count = 0
  for (const [key, value] of entries) {
    HashMap.set(map, key, value)
    count += 1
    if (count % STEP_ITEMS === 0) yield
  }
  return HashMap.endMutation(map)
}

/** The content of a checkpoint of this state. */
export const contentOfState = function* ({
  advancedAt,
  createdAt,
  positions,
  secret,
  settings,
  stops
}: WebhookState): Steps<WebhookContent> {
  return {
    secret: secret ?? "",
    createdAt,
    ...(advancedAt !== undefined && { advancedAt }),
    ...(settings !== undefined && { settings }),
    positions: yield* mapped(positions, (position) => position),
    stops: yield* mapped(stops, (stop) => stop)
  }
}

/** The stops that a replay ends. */
export const replayedOf = (
  { stops }: WebhookState,
  libraryId: LibraryId | undefined
): ReadonlyArray<readonly [LibraryId, Stop]> =>
  libraryId === undefined
    ? Array.from(stops)
    : Option.match(HashMap.get(stops, libraryId), { onNone: () => [], onSome: (stop) => [[libraryId, stop]] })

/** Why an event may not be written. */
export type WebhookRefusal =
  /** It was not added, or it was removed; for an addition: it was added before. */
  | { readonly _tag: "NotThere" }
  /** Another process delivers. */
  | { readonly _tag: "Claimed"; readonly until: number }
  /** The state is as the event would make it. */
  | { readonly _tag: "NothingToDo" }

/** Accepts an event at a time (milliseconds since 1970). */
export const decide = (
  state: WebhookState,
  event: WebhookEvent,
  now: number
): Result.Result<WebhookEvent, WebhookRefusal> => {
  if (event._tag === "WebhookAdded") {
    return state.settings !== undefined || state.isRemoved ? refuse({ _tag: "NotThere" }) : Result.succeed(event)
  }
  if (state.settings === undefined) return refuse({ _tag: "NotThere" })
  if ("owner" in event) {
    const { claim } = state
    const isOwn = claim?.owner === event.owner
    if (claim !== undefined && !isOwn && (event._tag !== "WebhookClaimed" || claim.until > now)) {
      return refuse({ _tag: "Claimed", until: claim.until })
    }
    if (!isOwn && event._tag !== "WebhookClaimed") return refuse({ _tag: "Claimed", until: now })
  }
  return changes(state, event) ? Result.succeed(event) : refuse({ _tag: "NothingToDo" })
}

const refuse = (refusal: WebhookRefusal): Result.Result<never, WebhookRefusal> => Result.fail(refusal)

const changes = (state: WebhookState, event: WebhookEvent): boolean => {
  switch (event._tag) {
    case "WebhookAdvanced":
      return event.positions.every(
        ([name, version]) => Option.getOrElse(HashMap.get(state.positions, name), () => 0) < version
      )
    case "WebhookStopped":
      return !HashMap.has(state.stops, event.libraryId)
    case "WebhookReplayed":
      return replayedOf(state, event.libraryId).length > 0
    default:
      return true
  }
}

/** Whether changes of a library go to this webhook. */
export const covers = ({ settings }: WebhookState, libraryId: LibraryId): boolean =>
  settings !== undefined && (settings.libraries === undefined || settings.libraries.includes(libraryId))

/** Whether changes of this type go to this webhook. */
export const takesType = ({ settings }: WebhookState, type: string): boolean =>
  settings?.types === undefined || (settings.types as ReadonlyArray<string>).includes(type)
