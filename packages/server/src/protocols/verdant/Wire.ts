/** Verdant's messages: decodes a client's, once and with limits, and makes the server's. */
import { Result, Schema } from "effect"
import { ReplicaId } from "../../domain/verdant/Events.ts"
import { baselineBy, decodeBaseline } from "../../domain/verdant/model/Baseline.ts"
import { isBoundedJson } from "../../domain/verdant/model/BoundedJson.ts"
import { decodeOperation, operationBy } from "../../domain/verdant/model/Operation.ts"
import { storedBaseline } from "../../domain/verdant/model/PayloadCodec.ts"
import { type OwnedOperation, ownerOf, type StoredBaseline } from "../../domain/verdant/model/StoredItems.ts"
import { isBeforeAll, isTimestamp } from "../../domain/verdant/model/Timestamp.ts"
import { freeMemory, heapLimit } from "../../internal/MemoryPressure.ts"
import type { Grant } from "../../ports/Access.ts"
import type { Part } from "../Frame.ts"
import { MOST_BYTES_OF_CHARACTER, parsedBytesOf } from "../JsonBudget.ts"
import { Message, message } from "./Message.ts"

// ---------------------------------------------------------------------------------------------- client → server

/** The valid items of a message, and the number of invalid ones. */
export interface Decoded<A> {
  readonly items: ReadonlyArray<A>
  readonly refused: number
}

export type ClientMessage =
  | { readonly _tag: "Heartbeat" }
  | {
      readonly _tag: "Sync"
      readonly replicaId: ReplicaId
      readonly timestamp: string
      readonly since: string | null
      readonly resyncAll: boolean
      readonly operations: Decoded<OwnedOperation>
      readonly baselines: Decoded<StoredBaseline>
    }
  | {
      readonly _tag: "Operations"
      readonly replicaId: ReplicaId
      readonly timestamp: string
      readonly operations: Decoded<OwnedOperation>
    }
  | {
      readonly _tag: "Ack"
      readonly replicaId: ReplicaId
      readonly timestamp: string | undefined
      readonly nonce: string | undefined
    }
  | { readonly _tag: "Presence"; readonly replicaId: ReplicaId; readonly presence: unknown; readonly internal: unknown }
  | { readonly _tag: "Disconnecting"; readonly replicaId: ReplicaId }
  /** An unknown kind, which is ignored: it may be a newer client's. */
  | { readonly _tag: "Unknown" }
  | { readonly _tag: "NotJson" }
  /** It is not parsed, because the process has too little memory at this moment. */
  | { readonly _tag: "NoMemory" }
  | { readonly _tag: "Malformed"; readonly reason: string }

/** Characters of a nonce. A longer one is none of this server. */
const MAX_NONCE = 128
/** Size limit of a presence, which every peer is sent: characters of its JSON. */
const MAX_PRESENCE = 32 * 1024

/** Bytes that a frame or a request takes at most once it is parsed: two fifths of the heap, and 256 MiB. */
export const MAX_PARSED = Math.min(256 * 1024 * 1024, Math.floor(heapLimit() * 0.4))

/** The same limit for a client that may only read: it sends none of its data, except by mistake. */
export const MAX_PARSED_READ_ONLY = 8 * 1024 * 1024

/** Characters of a text that is parsed without a look at its size: it takes less than either limit. */
const SHORT = 16 * 1024

/** Why a text cannot be parsed: it would take too much memory ever, or too much at this moment. Undefined: it can. */
export const tooMuchToParse = (text: string, { readOnly }: Pick<Grant, "readOnly">): "ever" | "now" | undefined => {
  if (text.length <= SHORT) return undefined
  const [max, free] = [readOnly ? MAX_PARSED_READ_ONLY : MAX_PARSED, freeMemory()]
  if (text.length * MOST_BYTES_OF_CHARACTER <= Math.min(max, free)) return undefined
  const bytes = parsedBytesOf(text, max)
  return bytes > max ? "ever" : bytes > free ? "now" : undefined
}

const isReplicaId = Schema.is(ReplicaId)

export const decodeText = (text: string, grant: Pick<Grant, "userId" | "readOnly">): ClientMessage => {
  const tooMuch = tooMuchToParse(text, grant)
  if (tooMuch === "ever") return malformed("a message has too many values")
  if (tooMuch === "now") return { _tag: "NoMemory" }
  let json: unknown
  try {
    json = JSON.parse(text)
  } catch {
    return { _tag: "NotJson" }
  }
  return decodeMessage(json, grant.userId)
}

export const decodeMessage = (json: unknown, userId: string): ClientMessage => {
  if (!isObject(json) || typeof json["type"] !== "string") return malformed("a message is an object with a type")
  const { type, replicaId } = json
  if (type === "heartbeat") return { _tag: "Heartbeat" }
  if (!KNOWN.has(type)) return { _tag: "Unknown" }
  if (!isReplicaId(replicaId)) return malformed("a message names its replica")
  switch (type) {
    case "sync": {
      const { timestamp, since = null } = json
      if (!isTimestamp(timestamp)) return malformed("a sync has a timestamp")
      if (since !== null && !isTimestamp(since)) return malformed("a sync is since a timestamp or null")
      const operations = decodeAll(json["operations"], (item) => decodeOwnedOperation(item, userId))
      const baselines = decodeAll(json["baselines"], (item) => decodeStoredBaseline(item, userId))
      const resyncAll = json["resyncAll"] === true
      const last = since === null || isBeforeAll(since) ? null : since
      return { _tag: "Sync", replicaId, timestamp, since: last, resyncAll, operations, baselines }
    }
    case "op": {
      const { timestamp } = json
      if (!isTimestamp(timestamp)) return malformed("an op has a timestamp")
      const operations = decodeAll(json["operations"], (item) => decodeOwnedOperation(item, userId))
      return { _tag: "Operations", replicaId, timestamp, operations }
    }
    case "ack":
    case "sync-ack": {
      const { nonce, timestamp } = json
      return {
        _tag: "Ack",
        replicaId,
        timestamp: isTimestamp(timestamp) ? timestamp : undefined,
        nonce: typeof nonce === "string" && nonce.length <= MAX_NONCE ? nonce : undefined
      }
    }
    case "presence-update": {
      const { presence = null, internal = {} } = json
      if (!isBoundedJson([presence, internal]) || JSON.stringify([presence, internal]).length > MAX_PRESENCE) {
        return malformed(`a presence has at most ${MAX_PRESENCE} bytes`)
      }
      return { _tag: "Presence", replicaId, presence, internal }
    }
    default:
      return { _tag: "Disconnecting", replicaId }
  }
}

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null && !Array.isArray(value)

/** The types of messages that a client may send. */
export const MESSAGE_TYPES = ["heartbeat", "sync", "op", "ack", "sync-ack", "presence-update", "disconnecting"] as const
const KNOWN: ReadonlySet<string> = new Set(MESSAGE_TYPES)

const malformed = (reason: string): ClientMessage => ({ _tag: "Malformed", reason })

const decodeAll = <A>(items: unknown, decode: (item: unknown) => A | undefined): Decoded<A> => {
  if (!Array.isArray(items)) return { items: [], refused: 0 }
  const decoded = items.flatMap((item) => decode(item) ?? [])
  return { items: decoded, refused: items.length - decoded.length }
}

const decodeOwnedOperation = (item: unknown, userId: string): OwnedOperation | undefined => {
  const decoded = Result.getOrUndefined(decodeOperation(item))
  if (decoded === undefined) return undefined
  const operation = operationBy(userId, decoded)
  return { ...operation, owner: ownerOf(operation.authz) }
}

const decodeStoredBaseline = (item: unknown, userId: string): StoredBaseline | undefined => {
  const decoded = Result.getOrUndefined(decodeBaseline(item))
  return decoded && storedBaseline(baselineBy(userId, decoded))
}

// ---------------------------------------------------------------------------------------------- server → client

export const heartbeatResponse = message({ type: "heartbeat-response" })
export const forbidden = message({ type: "forbidden" })
/** Asks a client for a sync. `since` null: with all its data; a timestamp: with what it has to send anyway. */
export const needSince = (since: string | null): Message => message({ type: "need-since", since })

export const serverAck = (timestamp: string): Message => message({ type: "server-ack", timestamp })
export const globalAck = (timestamp: string): Message => message({ type: "global-ack", timestamp })

export interface UserInfo {
  readonly id: string
  readonly replicaId: string
  readonly profile: unknown
  readonly presence: unknown
  readonly internal: unknown
}

export const presenceChanged = (userInfo: UserInfo): Message =>
  message({ type: "presence-changed", replicaId: userInfo.replicaId, userInfo })

export const presenceOffline = (userId: string, replicaId: string): Message =>
  message({ type: "presence-offline", userId, replicaId })

/** `operations` and `baselines`: JSON texts, separated by commas. */
export const operationsRebroadcast = (content: {
  readonly replicaId: string
  readonly operations: string
  readonly baselines: string
  readonly watermark: string | undefined
}): Message =>
  new Message(
    `{"type":"op-re","replicaId":"${content.replicaId}","operations":[${content.operations}]` +
      (content.baselines === "" ? "" : `,"baselines":[${content.baselines}]`) +
      `${globalAckField(content.watermark)}}`
  )

export const syncResponse = (content: {
  readonly operations: ReadonlyArray<Part>
  readonly baselines: ReadonlyArray<Part>
  readonly overwrite: boolean
  readonly watermark: string | undefined
  readonly peerPresence: Readonly<Record<string, UserInfo>>
  readonly ackedTimestamp: string | null
  readonly nonce: string | undefined
}): Message =>
  new Message(
    '{"type":"sync-resp","operations":[',
    ...content.operations,
    '],"baselines":[',
    ...content.baselines,
    `],"overwriteLocalData":${content.overwrite},"ackedTimestamp":${JSON.stringify(content.ackedTimestamp)}` +
      `,"peerPresence":${JSON.stringify(content.peerPresence)}${globalAckField(content.watermark)}` +
      (content.nonce === undefined ? "}" : `,"ackThisNonce":"${content.nonce}"}`)
  )

const globalAckField = (watermark: string | undefined): string =>
  watermark === undefined ? "" : `,"globalAckTimestamp":"${watermark}"`

/** An answer, as its nonce names it to any process. */
export interface AnswerName {
  readonly generation: number
  readonly version: number
  /** The time that the client takes for its last sync once it has stored the answer. */
  readonly asOf: string
  /** The answer held the whole library, in place of what the client had. */
  readonly isReset: boolean
}

/** Makes the nonce of an answer. It is opaque to the client, which sends it back to acknowledge the answer. */
export const nonceOf = ({ asOf, generation, isReset, version }: AnswerName): string =>
  Buffer.from(`${generation}.${version}.${asOf}${isReset ? ".reset" : ""}`).toString("base64url")

/** The answer that a nonce names; undefined: it names none. */
export const answerOf = (nonce: string): AnswerName | undefined => {
  const [, generation, version, asOf, reset] =
    /^(\d{1,15})\.(\d{1,15})\.(\w{1,60})(\.reset)?$/.exec(Buffer.from(nonce, "base64url").toString()) ?? []
  if (!isTimestamp(asOf)) return undefined
  return { generation: Number(generation), version: Number(version), asOf, isReset: reset !== undefined }
}
