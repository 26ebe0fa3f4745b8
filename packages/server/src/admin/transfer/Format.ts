/**
 * A log as JSON lines: a header, every event of every stream in the order of their names and versions, and a last line by
 * which it is known that none is missing.
 */
import { Result, Schema } from "effect"
import { serverAdministration } from "../../domain/Administration.ts"
import { blake2b256 } from "../../domain/Blake2b.ts"
import { canonicalJson } from "../../domain/CanonicalJson.ts"
import { DocumentId, Hash, LibraryId } from "../../domain/Ids.ts"
import type { StreamHead, StreamKey } from "../../domain/Stream.ts"
import { withUniqueKey } from "../../domain/secsync/Events.ts"
import type { PlacedEvent } from "../../ports/EventLog.ts"

/** A payload of 90 MB and what is around it. */
export const MAX_LINE_BYTES = 128 * 1024 * 1024

const Header = Schema.Struct({ format: Schema.Literal("sealog"), version: Schema.Finite })

/** The version of the format that is written, and the only one that is read. */
const VERSION = 1

const Count = Schema.Int.check(Schema.isGreaterThanOrEqualTo(0))

const Trailer = Schema.Struct({
  end: Schema.Struct({
    streams: Count,
    events: Count,
    /** Payloads that are gone though no eviction and no pruning took them. */
    payloadsMissing: Count,
    /** One hash over where every stream ends: two logs are the same exactly when it is. */
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
  // In one order, whatever storage it comes from.
  const line = { ...key, version, generation, type, data, payloadHash, chain, origin, recordedAt, checkpoint }
  return `${JSON.stringify({ ...line, payload: bytes?.toString("base64") ?? null })}\n`
}

export const trailerLine = (trailer: Trailer): string => `${JSON.stringify(trailer)}\n`

const decodeHeader = Schema.decodeUnknownResult(Schema.fromJsonString(Header))
const decodeLine = Schema.decodeUnknownResult(Schema.fromJsonString(Schema.Union([Event, Trailer])))

/** What is wrong with a file's first line; undefined when nothing is. */
export const headerProblem = (line: string): string | undefined => {
  const header = Result.getOrUndefined(decodeHeader(line))
  if (header === undefined) return "this is not an export: the first line is not its header"
  return header.version === VERSION
    ? undefined
    : `the format's version is ${header.version}, and ${VERSION} is known here`
}

/** Any line but the first; undefined when it is none of the format's. */
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

/** By UTF-8 bytes, as every storage orders streams. */
export const isInOrder = (before: StreamKey, after: StreamKey): boolean => {
  const libraries = compareBytes(before.libraryId, after.libraryId)
  return libraries < 0 || (libraries === 0 && compareBytes(before.streamId, after.streamId) < 0)
}

const compareBytes = (a: string, b: string): number => Buffer.compare(Buffer.from(a), Buffer.from(b))

/** Counts what the last line says, on either end. */
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
