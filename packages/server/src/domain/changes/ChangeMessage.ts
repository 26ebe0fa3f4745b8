/** A change as backends get it, by server-sent events and by webhooks: JSON with a type, a time and the change. */
import { isAdministration, serverAdministration } from "../Administration.ts"
import type { StreamEvent, StreamKey } from "../Stream.ts"
import { type DocumentChange, documentChangeOf } from "../secsync/views/DocumentChange.ts"
import { isVerdant } from "../verdant/Events.ts"
import { changeOf, type LibraryChange } from "../verdant/views/LibraryChange.ts"

/** Largest message, in bytes. A larger change is sent without its operations and baselines, and with `"truncated": true`. */
export const MAX_MESSAGE_BYTES = 1024 * 1024

/** Every type of a change. The part before the dot is the protocol. */
export const CHANGE_TYPES = [
  "verdant.changed",
  "verdant.purged",
  "verdant.imported",
  "verdant.evicted",
  "verdant.deleted",
  "secsync.snapshot_stored",
  "secsync.update_stored",
  "secsync.document_created",
  "secsync.evicted",
  "secsync.deleted",
  "secsync.allowed_again"
] as const
export type ChangeType = (typeof CHANGE_TYPES)[number]

export interface ChangeMessage {
  readonly type: ChangeType
  readonly version: number
  /** Milliseconds since 1970. */
  readonly recordedAt: number
  readonly change: LibraryChange | DocumentChange
}

/** Whether a stream holds the data of clients: a library's Verdant data, or a Secsync document. */
export const holdsChanges = (key: StreamKey): boolean =>
  key.libraryId !== serverAdministration.libraryId && !isAdministration(key) && (isVerdant(key) || !isOwn(key))

/** The other streams whose ids begin with `@` are the server's own. */
const isOwn = ({ streamId }: StreamKey): boolean => streamId.startsWith("@")

/** The change that an event of a stream made; undefined when it changed nothing for an app. Throws when it cannot be decoded. */
export const messageOf = (
  key: StreamKey,
  event: StreamEvent,
  payload: Uint8Array | null
): ChangeMessage | undefined => {
  const change = isVerdant(key) ? changeOf(key.libraryId, event, payload) : documentChangeOf(key, event)
  if (change === undefined) return undefined
  const type = `${isVerdant(key) ? "verdant" : "secsync"}.${snakeCase(change._tag)}` as ChangeType
  return { type, version: change.version, recordedAt: change.recordedAt, change }
}

const snakeCase = (tag: string): string => tag.replace(/(?!^)[A-Z]/g, (letter) => `_${letter}`).toLowerCase()

/**
 * `{"type", "timestamp", "data"}`: the payload of a webhook after Standard Webhooks, and the data of a server-sent event. A change
 * above `MAX_MESSAGE_BYTES` goes without its operations and baselines, and without its documents if it is still too large.
 */
export const messageText = (message: ChangeMessage): string => {
  const { change } = message
  const text = jsonOf(message, change)
  if (change._tag !== "Changed" || Buffer.byteLength(text) <= MAX_MESSAGE_BYTES) return text
  const { baselines, operations, ...withDocuments } = change
  const shorter = jsonOf(message, { ...withDocuments, truncated: true })
  if (Buffer.byteLength(shorter) <= MAX_MESSAGE_BYTES) return shorter
  const { documents, ...alone } = withDocuments
  return jsonOf(message, { ...alone, truncated: true })
}

const jsonOf = ({ recordedAt, type }: ChangeMessage, data: object): string =>
  JSON.stringify({ type, timestamp: new Date(recordedAt).toISOString(), data })
