/** What processes tell each other, as the payloads of NOTIFY: JSON of less than 8000 bytes each. */
import { LibraryId } from "@sealog/server/domain/Ids"
import type { StreamKey } from "@sealog/server/domain/Stream"
import type { Broadcast } from "@sealog/server/Signals"
import { Option, Schema } from "effect"

/** Postgres refuses payloads of 8000 bytes and more; what is around the content below takes some of it. */
const MAX_CONTENT_BYTES = 7000
/** An ephemeral message that is larger stays in its own process. */
export const MAX_BROADCAST_BYTES = 64 * 1024

const Key = Schema.Tuple([LibraryId, Schema.String.check(Schema.isMaxLength(200))])

const Notification = Schema.fromJsonString(
  Schema.Union([
    Schema.Struct({ from: Schema.String, streams: Schema.Array(Key) }),
    /** A part of an ephemeral message; the parts of one follow each other. */
    Schema.Struct({ from: Schema.String, key: Key, part: Schema.String, isLast: Schema.Boolean })
  ])
)

const decode = Schema.decodeUnknownOption(Notification)

/** Streams that have grown, in as few payloads as will do. */
export const announcements = (from: string, keys: Iterable<StreamKey>): Array<string> => {
  const payloads: Array<string> = []
  let streams: Array<readonly [string, string]> = []
  let bytes = 0
  const end = () => {
    if (streams.length > 0) payloads.push(JSON.stringify({ from, streams }))
    streams = []
    bytes = 0
  }
  for (const { libraryId, streamId } of keys) {
    const size = Buffer.byteLength(JSON.stringify([libraryId, streamId])) + 1
    if (bytes + size > MAX_CONTENT_BYTES) end()
    streams.push([libraryId, streamId])
    bytes += size
  }
  end()
  return payloads
}

export const broadcastParts = (from: string, { key, frame }: Broadcast): Array<string> => {
  const text = Buffer.from(frame.buffer, frame.byteOffset, frame.byteLength).toString("base64")
  const room = MAX_CONTENT_BYTES - Buffer.byteLength(JSON.stringify([key.libraryId, key.streamId]))
  const parts: Array<string> = []
  for (let at = 0; at < text.length; at += room) {
    const part = {
      from,
      key: [key.libraryId, key.streamId],
      part: text.slice(at, at + room),
      isLast: at + room >= text.length
    }
    parts.push(JSON.stringify(part))
  }
  return parts
}

/** Understands the payloads of one connection, in their order; whatever is not one of ours is passed over. */
export const makeReader = (own: string) => {
  const unfinished = new Map<string, string>()
  return (payload: string): ReadonlyArray<StreamKey> | Broadcast | undefined => {
    const notification = Option.getOrUndefined(decode(payload))
    if (notification === undefined || notification.from === own) return undefined
    if ("streams" in notification) {
      return notification.streams.map(([libraryId, streamId]) => ({ libraryId, streamId }))
    }
    const { from, isLast, part } = notification
    const text = (unfinished.get(from) ?? "") + part
    unfinished.delete(from)
    if (text.length > MAX_BROADCAST_BYTES * 1.5) return undefined
    if (!isLast) {
      // Only ever one sender's parts follow each other; the rest of a message whose end was lost goes with the next.
      if (unfinished.size < MAX_SENDERS) unfinished.set(from, text)
      return undefined
    }
    const [libraryId, streamId] = notification.key
    return { key: { libraryId, streamId }, frame: Buffer.from(text, "base64") }
  }
}

/** Senders whose unfinished messages are kept. */
const MAX_SENDERS = 100
