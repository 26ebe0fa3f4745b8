/** Signals between processes as JSON texts, each within the size that the transport takes. */
import { Option, Result, Schema } from "effect"
import { LibraryId } from "../domain/Ids.ts"
import type { StreamKey } from "../domain/Stream.ts"
import type { Broadcast } from "../ports/Signals.ts"

/** An upper bound of a text's bytes beside its streams, or beside its part of a broadcast. */
const AROUND_BYTES = 200
/** A larger broadcast is not sent. */
export const MAX_BROADCAST_BYTES = 64 * 1024

/** Longest id of a stream, in UTF-16 units: a document's has at most 200 characters. */
const MAX_STREAM_ID = 400

/** A library's id, or `@server`, the log's own streams, which no client can name. */
const Library = Schema.Union([LibraryId, Schema.Literal("@server").pipe(Schema.brand("LibraryId"))])
const Key = Schema.Tuple([Library, Schema.String.check(Schema.isMaxLength(MAX_STREAM_ID))])

const Message = Schema.Union([
  Schema.Struct({ from: Schema.String, streams: Schema.Array(Key) }),
  /** A part of a broadcast. The parts of one broadcast follow each other. */
  Schema.Struct({ from: Schema.String, key: Key, part: Schema.String, isLast: Schema.Boolean })
])

const decodeMessage = Schema.decodeUnknownOption(Message)

// A schema of the JSON text would start a fiber for each text.
const parsed = (text: string): Option.Option<unknown> => Result.getSuccess(Result.try((): unknown => JSON.parse(text)))

/** Announces grown streams in few texts. */
export const announcements = (from: string, keys: Iterable<StreamKey>, maxBytes: number): Array<string> => {
  const texts: Array<string> = []
  let streams: Array<readonly [string, string]> = []
  let bytes = 0
  const end = () => {
    if (streams.length > 0) texts.push(JSON.stringify({ from, streams }))
    streams = []
    bytes = 0
  }
  for (const { libraryId, streamId } of keys) {
    const size = Buffer.byteLength(JSON.stringify([libraryId, streamId])) + 1
    if (bytes + size > maxBytes - AROUND_BYTES) end()
    streams.push([libraryId, streamId])
    bytes += size
  }
  end()
  return texts
}

export const broadcastParts = (from: string, { key, frame }: Broadcast, maxBytes: number): Array<string> => {
  const text = Buffer.from(frame.buffer, frame.byteOffset, frame.byteLength).toString("base64")
  const room = maxBytes - AROUND_BYTES - Buffer.byteLength(JSON.stringify([key.libraryId, key.streamId]))
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

/** Returns a reader of one connection's texts, in their order. It ignores texts that are not signals, and those sent by `own`. */
export const makeReader = (own: string) => {
  const unfinished = new Map<string, string>()
  // The transport brings each text back to its sender, which need not decode it.
  const ownBeginning = `{"from":${JSON.stringify(own)},`
  return (text: string): ReadonlyArray<StreamKey> | Broadcast | undefined => {
    if (text.startsWith(ownBeginning)) return undefined
    const message = Option.getOrUndefined(Option.flatMap(parsed(text), decodeMessage))
    if (message === undefined || message.from === own) return undefined
    if ("streams" in message) {
      return message.streams.map(([libraryId, streamId]) => ({ libraryId, streamId }))
    }
    const { from, isLast, part } = message
    const encoded = (unfinished.get(from) ?? "") + part
    unfinished.delete(from)
    if (encoded.length > MAX_BROADCAST_BYTES * 1.5) return undefined
    if (!isLast) {
      // If the end of a broadcast is lost, its parts stay until the sender's next broadcast, which they spoil.
      if (unfinished.size < MAX_SENDERS) unfinished.set(from, encoded)
      return undefined
    }
    const [libraryId, streamId] = message.key
    return { key: { libraryId, streamId }, frame: Buffer.from(encoded, "base64") }
  }
}

/** The most senders whose unfinished broadcasts are kept. */
const MAX_SENDERS = 100
