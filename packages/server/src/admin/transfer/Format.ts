/**
 * The export format, JSON lines: a header, every event of every stream, and a trailer that proves that none is missing. The
 * events are in the order of (library, stream, version).
 */
import { Result, Schema } from "effect"
import { serverAdministration } from "../../domain/Administration.ts"
import { blake2b256 } from "../../domain/Blake2b.ts"
import { canonicalJson } from "../../domain/CanonicalJson.ts"
import { DocumentId, Hash, LibraryId } from "../../domain/Ids.ts"
import type { StreamHead, StreamKey } from "../../domain/Stream.ts"
import { withUniqueKey } from "../../domain/secsync/Events.ts"
import type { PlacedEvent } from "../../ports/EventLog.ts"

/** Room for a payload of 90 MB in base64, and the event around it. */
export const MAX_LINE_BYTES = 128 * 1024 * 1024

const Header = Schema.Struct({ format: Schema.Literal("sealog"), version: Schema.Finite })

/** The only version of the format that is written and read. */
const VERSION = 1

const Count = Schema.Int.check(Schema.isGreaterThanOrEqualTo(0))

const Trailer = Schema.Struct({
  end: Schema.Struct({
    streams: Count,
    events: Count,
    /** Payloads that are missing, though no eviction or pruning deleted them. */
    payloadsMissing: Count,
    /** One hash over the heads of all streams: two logs are equal exactly when it is. */
    heads: Schema.String
  })
})
export type Trailer = typeof Trailer.Type

const OwnStream = Schema.String.check(Schema.isPattern(/^@[A-Za-z0-9_-]{1,64}$/))
const Plain = (max: number) => Schema.String.check(Schema.isMaxLength(max), Schema.isPattern(/^[^\p{Cc}]*$/u))
const isObject = (value: unknown): value is object =>
  typeof value === "object" && value !== null && !Array.isArray(value)

const Event = Schema.Struct({
  libraryId: Schema.Union([LibraryId, Schema.Literal(serverAdministration.libraryId)]),
  streamId: Schema.Union([DocumentId, OwnStream]),
  version: Schema.Int.check(Schema.isGreaterThan(0)),
  generation: Count,
  type: Plain(100),
  data: Schema.declare(isObject),
  payloadHash: Schema.Union([Hash, Schema.Literal("")]),
  chain: Hash,
  origin: Plain(1000),
  recordedAt: Schema.Int,
  checkpoint: Schema.Boolean,
  /** Base64. */
  payload: Schema.NullOr(Schema.String)
})

export const headerLine = (): string => `${JSON.stringify({ format: "sealog", version: VERSION })}\n`

export const eventLine = (key: StreamKey, { event, payload }: PlacedEvent): string => {
  const bytes = payload && Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength)
  const { version, generation, type, data, payloadHash, chain, origin, recordedAt, checkpoint } = event
  // The keys are in one order, so that every storage gives the same text.
  const line = { ...key, version, generation, type, data, payloadHash, chain, origin, recordedAt, checkpoint }
  return `${JSON.stringify({ ...line, payload: bytes?.toString("base64") ?? null })}\n`
}

export const trailerLine = (trailer: Trailer): string => `${JSON.stringify(trailer)}\n`

const decodeHeader = Schema.decodeUnknownResult(Schema.fromJsonString(Header))
const decodeLine = Schema.decodeUnknownResult(Schema.fromJsonString(Schema.Union([Event, Trailer])))

/** The problem with an export's first line; undefined when there is none. */
export const headerProblem = (line: string): string | undefined => {
  const header = Result.getOrUndefined(decodeHeader(line))
  if (header === undefined) return "not the header of an export"
  return header.version === VERSION
    ? undefined
    : `the format's version is ${header.version}, and ${VERSION} is known here; import it with a newer Sealog`
}

/** Reads any line after the header; undefined when it is not a line of the format. */
export const readLine = (
  line: string
): { readonly key: StreamKey; readonly placed: PlacedEvent } | Trailer | undefined => {
  const decoded = Result.getOrUndefined(decodeLine(line))
  if (decoded === undefined || "end" in decoded) return decoded
  const { libraryId, streamId, payload, ...event } = decoded
  return {
    key: { libraryId, streamId },
    placed: { event: withUniqueKey(event), payload: payload === null ? null : Buffer.from(payload, "base64") }
  }
}

/** Whether a stream sorts before another, by UTF-8 bytes as in every storage. */
export const isInOrder = (before: StreamKey, after: StreamKey): boolean => {
  const libraries = compareBytes(before.libraryId, after.libraryId)
  return libraries < 0 || (libraries === 0 && compareBytes(before.streamId, after.streamId) < 0)
}

const compareBytes = (a: string, b: string): number => Buffer.compare(Buffer.from(a), Buffer.from(b))

/** Counts for the trailer, when it is written and when it is checked. */
export const makeTally = () => {
  let [streams, events, payloadsMissing, heads] = [0, 0, 0, ""]
  return {
    miss: (): void => {
      payloadsMissing += 1
    },
    end: (key: StreamKey, { version, generation, chain }: StreamHead): void => {
      streams += 1
      events += version
      heads = blake2b256(heads + canonicalJson({ ...key, version, generation, chain }))
    },
    trailer: (): Trailer => ({ end: { streams, events, payloadsMissing, heads } })
  }
}
