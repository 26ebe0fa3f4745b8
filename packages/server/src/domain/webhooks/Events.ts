/**
 * The events of a webhook. Each webhook has a stream of its own in `@server`, which holds its settings and how far it is, so
 * that every storage keeps it and every process reads it. Its secret is in payloads, which the removal purges.
 */
import { Schema } from "effect"
import { Attribution, serverAdministration } from "../Administration.ts"
import { blake2b256 } from "../Blake2b.ts"
import { CHANGE_TYPES } from "../changes/ChangeMessage.ts"
import { LibraryId } from "../Ids.ts"
import { parsed, stringified } from "../JsonInSteps.ts"
import { allAtOnce, chunksOf, type Steps } from "../Steps.ts"
import { type NewEvent, type StreamEvent, type StreamKey, WEBHOOK_KEPT, WEBHOOK_REMOVED } from "../Stream.ts"

/** 12 hexadecimal digits. */
export const WebhookId = Schema.String.check(Schema.isPattern(/^[0-9a-f]{12}$/)).pipe(Schema.brand("WebhookId"))
export type WebhookId = typeof WebhookId.Type

const PREFIX = "@webhook-"

export const webhookStream = (id: WebhookId): StreamKey => ({
  libraryId: serverAdministration.libraryId,
  streamId: PREFIX + id
})

const isWebhookId = Schema.is(WebhookId)

/** The webhook whose stream this is; undefined: it is another stream. */
export const webhookOf = ({ libraryId, streamId }: StreamKey): WebhookId | undefined => {
  if (libraryId !== serverAdministration.libraryId || !streamId.startsWith(PREFIX)) return undefined
  const id = streamId.slice(PREFIX.length)
  return isWebhookId(id) ? id : undefined
}

export const isWebhook = (key: StreamKey): boolean => webhookOf(key) !== undefined

const Version = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER }))
/** The name of a stream and the last version of it that was delivered. */
const Position = Schema.Tuple([Schema.String, Version])
/** A process, while it delivers. */
const Owner = Schema.NonEmptyString.check(Schema.isMaxLength(100))
/** Until when no other process may deliver, milliseconds since 1970. */
const Until = Schema.Finite
const owned = { owner: Owner, until: Until }

/** An address of `http:` or `https:` without a user, at most 2,000 characters. */
export const WebhookUrl = Schema.String.check(
  Schema.isMaxLength(2000),
  Schema.isPattern(/^https?:\/\/[^\s/@?#]+(?:[/?][^\s#]*)?$/i)
)

export const WebhookAdded = Schema.TaggedStruct("WebhookAdded", {
  url: WebhookUrl,
  /** Absent: all libraries. */
  libraries: Schema.optionalKey(Schema.Array(LibraryId).check(Schema.isMinLength(1), Schema.isMaxLength(100))),
  /** Absent: changes of all types. */
  types: Schema.optionalKey(Schema.Array(Schema.Literals(CHANGE_TYPES)).check(Schema.isMinLength(1))),
  ...Attribution.fields
})
/** A process delivers from now on. */
export const WebhookClaimed = Schema.TaggedStruct("WebhookClaimed", owned)
/** The receiver has these versions, and all before them. */
export const WebhookAdvanced = Schema.TaggedStruct("WebhookAdvanced", {
  ...owned,
  positions: Schema.Array(Position).check(Schema.isMaxLength(1000))
})
/** The receiver did not take a change, after all attempts. The library's changes wait from this version on. */
export const WebhookStopped = Schema.TaggedStruct("WebhookStopped", {
  ...owned,
  libraryId: LibraryId,
  streamId: Schema.String,
  version: Version,
  attempts: Schema.Int,
  /** The receiver's last answer. */
  problem: Schema.String.check(Schema.isMaxLength(200))
})
/** An operator lets libraries go on: with the change that was not taken, or with `skip` after it. */
export const WebhookReplayed = Schema.TaggedStruct("WebhookReplayed", {
  /** Absent: all libraries that wait. */
  libraryId: Schema.optionalKey(LibraryId),
  skip: Schema.optionalKey(Schema.Literal(true)),
  ...Attribution.fields
})
/** A checkpoint: the payload is all of the state that other events do not name. */
export const WebhookKept = Schema.TaggedStruct(WEBHOOK_KEPT, { ...owned, before: Version })
export const WebhookRemoved = Schema.TaggedStruct(WEBHOOK_REMOVED, Attribution.fields)

export const WebhookEvent = Schema.Union([
  WebhookAdded,
  WebhookClaimed,
  WebhookAdvanced,
  WebhookStopped,
  WebhookReplayed,
  WebhookKept,
  WebhookRemoved
])
export type WebhookEvent = typeof WebhookEvent.Type

/** The place at which a library stopped. */
export const Stop = Schema.Struct({
  streamId: Schema.String,
  version: Version,
  attempts: Schema.Int,
  problem: Schema.String,
  /** Milliseconds since 1970. */
  since: Schema.Finite
})
export type Stop = typeof Stop.Type

/** The payload of `WebhookAdded` and `WebhookKept`. */
export const WebhookContent = Schema.Struct({
  /** `whsec_` and 32 bytes in base64. */
  secret: Schema.String,
  /** The settings, when they were made, and when versions were last recorded, in a checkpoint. */
  settings: Schema.optionalKey(WebhookAdded),
  createdAt: Schema.optionalKey(Schema.Finite),
  advancedAt: Schema.optionalKey(Schema.Finite),
  positions: Schema.Array(Position),
  stops: Schema.Array(Schema.Tuple([LibraryId, Stop]))
})
export type WebhookContent = typeof WebhookContent.Type

const decodeAllElse = Schema.decodeUnknownSync(WebhookContent)
const decodePositions = Schema.decodeUnknownSync(WebhookContent.fields.positions)
const decodeStops = Schema.decodeUnknownSync(WebhookContent.fields.stops)

/** The content of a payload, in steps: it names every stream of a log. Throws when the payload is no content. */
export const contentIn = function* (payload: Uint8Array): Steps<WebhookContent> {
  const { buffer, byteLength, byteOffset } = payload
  const json = yield* parsed(Buffer.from(buffer, byteOffset, byteLength))
  const lists: Partial<WebhookContent> = typeof json === "object" && json !== null ? json : {}
  return {
    ...decodeAllElse({ ...lists, positions: [], stops: [] }),
    positions: yield* decodedList(lists.positions, decodePositions),
    stops: yield* decodedList(lists.stops, decodeStops)
  }
}

const decodedList = function* <A>(list: unknown, decode: (list: unknown) => ReadonlyArray<A>): Steps<ReadonlyArray<A>> {
  // Only an array has chunks.
  if (!Array.isArray(list)) return decode(list)
  const all: Array<A> = []
  for (const chunk of chunksOf(list)) {
    all.push(...decode(chunk))
    yield
  }
  return all
}

/** Throws when the payload is no content. */
export const contentOf = (payload: Uint8Array): WebhookContent => allAtOnce(contentIn(payload))

/** The payload that holds a content, in steps. */
export const payloadOf = function* (content: WebhookContent): Steps<Uint8Array> {
  return Buffer.from(yield* stringified(content))
}

const isCheckpoint = ({ _tag }: WebhookEvent): boolean =>
  _tag === "WebhookAdded" || _tag === WEBHOOK_KEPT || _tag === WEBHOOK_REMOVED

const decodeEvent = Schema.decodeUnknownSync(WebhookEvent)

/** The event as it is appended, with its payload. Throws when a field is not valid. */
export const toNewEvent = (
  event: WebhookEvent,
  payload: Uint8Array | null = null
): { readonly event: NewEvent; readonly payload: Uint8Array | null } => {
  const { _tag, ...data } = decodeEvent(event)
  const payloadHash = payload === null ? "" : blake2b256(payload)
  return { event: { type: _tag, data, payloadHash, checkpoint: isCheckpoint(event) }, payload }
}

/** Decodes a stream's event. Throws when it is not an event of a webhook. */
export const fromStreamEvent = (event: StreamEvent): WebhookEvent => decodeEvent({ ...event.data, _tag: event.type })
