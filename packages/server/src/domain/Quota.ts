/**
 * The quota of a library: how much it may hold. Beyond it the server refuses what would make the library larger; reads and
 * deletions go on, and nothing that was accepted is lost. The rules are in `verdant/LibraryQuota.ts` and `secsync/Decide.ts`.
 */
import { Schema } from "effect"

const Count = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER }))

/** Every update copies the clocks of all authors: see docs/decisions/0005-authors-per-snapshot.md. */
const MAX_AUTHORS = 1000

export const Quota = Schema.Struct({
  /**
   * Objects and lists in a library's Verdant documents. A deleted one counts until it is compacted. Default: 100,000, some
   * 220 MB of memory. A message with more new ones is refused with `forbidden`, except for its deletions.
   */
  objects: Count,
  /**
   * Operations that are not compacted yet, because a replica may lack them. Default: 200,000, some 140 MB of memory. Further
   * ones are refused with `forbidden`, except for deletions.
   */
  operations: Count,
  /**
   * Bytes of a library's Verdant data: its last compaction, and the operations since. Default: 64 MiB. Further operations
   * are refused with `forbidden`, except for deletions.
   */
  bytes: Count,
  /**
   * Replicas that a library remembers. Default: 10,000. A further one takes the place of the truant one that was silent for
   * longest. If none is truant, its sync is answered with `forbidden`.
   */
  replicas: Count,
  /**
   * Files that Verdant clients uploaded. Default: 10,000. The upload of a further one is answered with 413. Documents may refer
   * to twice as many files, and to 20,000 at least. Operations that refer to more are refused with `forbidden`.
   */
  files: Count,
  /** Bytes of those files together. Default: 10 GiB. An upload that exceeds it is answered with 413. */
  fileBytes: Count,
  /**
   * Secsync documents of a library, also evicted ones. Default: 100,000. The first snapshot of a further one is refused with
   * `snapshot-save-failed`. Documents that are being made at the same time may exceed it.
   */
  documents: Count,
  /**
   * Bytes of one Secsync document: its active snapshot, and the updates to it. Default: 64 MiB. A further update is answered
   * with a request for a snapshot. A snapshot that is larger is refused with `snapshot-save-failed`.
   */
  documentBytes: Count,
  /**
   * Authors of updates to one snapshot of a Secsync document, at most 1,000. Default: 1,000. The update of a further one is
   * answered with a request for a snapshot, after which the count starts at 0.
   */
  documentAuthors: Count.check(Schema.isLessThanOrEqualTo(MAX_AUTHORS)),
  /**
   * Events of all streams of a library together, since they began. They stay for good, some 300 bytes each on disk. Default:
   * 100 million. Further operations are refused with `forbidden`, except for deletions; files with 413. A further update of a
   * Secsync document is answered with a request for a snapshot, and a snapshot with `snapshot-save-failed`. Events on their way
   * to the log, and those that the server writes to keep a library in order, may exceed it, and so may other processes for
   * some minutes.
   */
  events: Count,
  /**
   * Bytes of all payloads that the log holds of a library: of its Verdant data and all its Secsync documents, superseded
   * snapshots and updates with them. Default: 50 GiB. Beyond it the server refuses as it does for `events`. Pruning and evictions
   * make room.
   */
  payloadBytes: Count
})
export type Quota = typeof Quota.Type

/** Of a server with a heap of 943 MiB or more: see `quotaOfServer`. */
export const defaultQuota: Quota = {
  objects: 100_000,
  operations: 200_000,
  bytes: 64 * 1024 * 1024,
  replicas: 10_000,
  files: 10_000,
  fileBytes: 10 * 1024 * 1024 * 1024,
  documents: 100_000,
  documentBytes: 64 * 1024 * 1024,
  documentAuthors: MAX_AUTHORS,
  events: 100_000_000,
  payloadBytes: 50 * 1024 * 1024 * 1024
}

/** For decisions that were made before, perhaps under another quota. No quota allows more authors. */
export const noQuota: Quota = {
  objects: Number.POSITIVE_INFINITY,
  operations: Number.POSITIVE_INFINITY,
  bytes: Number.POSITIVE_INFINITY,
  replicas: Number.POSITIVE_INFINITY,
  files: Number.POSITIVE_INFINITY,
  fileBytes: Number.POSITIVE_INFINITY,
  documents: Number.POSITIVE_INFINITY,
  documentBytes: Number.POSITIVE_INFINITY,
  documentAuthors: MAX_AUTHORS,
  events: Number.POSITIVE_INFINITY,
  payloadBytes: Number.POSITIVE_INFINITY
}

/** The events and payload bytes that the log holds of all streams of a library. */
export type LogUse = Pick<Quota, "events" | "payloadBytes">

/** The parts of a quota that an operator set for one library; the others are the server's. */
export type QuotaChange = Partial<Quota>

export const QUOTA_PARTS = Object.keys(defaultQuota) as ReadonlyArray<keyof Quota>

/**
 * The parts of a quota from outside as whole numbers from 0 to the largest that is allowed: Infinity is the largest. A part that
 * is no number is left out.
 */
export const withinBounds = (change: QuotaChange): QuotaChange =>
  Object.fromEntries(
    QUOTA_PARTS.flatMap((part) => {
      const atMost = change[part]
      if (atMost === undefined || Number.isNaN(atMost)) return []
      const largest = part === "documentAuthors" ? MAX_AUTHORS : Number.MAX_SAFE_INTEGER
      return [[part, Math.floor(Math.min(Math.max(atMost, 0), largest))]]
    })
  )

export const isSameChange = (a: QuotaChange, b: QuotaChange): boolean =>
  QUOTA_PARTS.every((part) => a[part] === b[part])

/** The share of a part above which a library or a document is near its quota. */
export const NEAR_QUOTA = 0.8

/** The use of one part of a quota. */
export interface PartUse<Part extends keyof Quota = keyof Quota> {
  readonly part: Part
  readonly use: number
  readonly atMost: number
}

/** The part of which the largest share is used, among those whose use is given: the first of them, if several are alike. */
export const nearestPart = <Part extends keyof Quota>(use: Pick<Quota, Part>, quota: Quota): PartUse<Part> =>
  (Object.keys(use) as Array<Part>)
    .map((part) => ({ part, use: use[part], atMost: quota[part] }))
    .reduce((nearest, each) => (shareOf(each) > shareOf(nearest) ? each : nearest))

/** Infinite if something is used of a part of which nothing may be. */
const shareOf = ({ atMost, use }: PartUse): number => (use === 0 ? 0 : use / atMost)
