/** The answers of the HTTP API of operators: their shapes, and the same as plain types. */
import { Effect, Schema, Struct } from "effect"
import { CHANGE_TYPES } from "../../domain/changes/ChangeMessage.ts"
import { LibraryId } from "../../domain/Ids.ts"
import { QUOTA_PARTS, Quota } from "../../domain/Quota.ts"
import { WebhookId } from "../../domain/webhooks/Events.ts"

export const Count = Schema.Int
/** Milliseconds since 1970. */
export const Time = Schema.Finite

/**
 * A field that was added to an answer after its first version. An older server does not send it, and a newer client then reads
 * null. packages/cli/test/OlderServer.test.ts fails for an added field without this.
 */
const added = <Field extends Schema.Constraint>(field: Field) =>
  Schema.NullOr(field).pipe(Schema.withDecodingDefaultKey(Effect.succeed(null)))

export const QuotaParts = Quota.mapFields(Struct.map(Schema.optionalKey))

export const Library = Schema.Struct({
  libraryId: LibraryId,
  streams: Count,
  events: Count,
  payloadBytes: Count,
  updatedAt: Time,
  /**
   * The part of its quota that the library is nearest to, of those that a list knows: documents, events and payload bytes.
   * null: it is not known, because the stream with the library's own quota is damaged, or the app's `quotaOf` failed.
   */
  nearestQuota: added(Schema.Struct({ part: Schema.Literals(QUOTA_PARTS), use: Count, atMost: Count }))
})

export const LibraryDetails = Schema.Struct({
  libraryId: LibraryId,
  suspended: Schema.Boolean,
  documents: Count,
  evictedDocuments: Count,
  events: Count,
  payloads: Count,
  payloadBytes: Count,
  createdAt: Time,
  updatedAt: Time,
  /** The parts of the quota that an operator set. */
  quota: Schema.Record(Schema.String, Schema.Finite)
})

export const Document = Schema.Struct({
  documentId: Schema.String,
  version: Count,
  generation: Count,
  payloads: Count,
  payloadBytes: Count,
  /** Whether its payloads were purged by an eviction, and no client has restored them. Older servers tell it of a deleted one as well. */
  evicted: added(Schema.Boolean),
  /** Whether it was deleted for good, and not allowed again. */
  deleted: added(Schema.Boolean),
  createdAt: Time,
  updatedAt: Time,
  /**
   * The bytes that count for the quota `documentBytes`: the active snapshot and its updates. The quota itself leaves out payloads
   * whose events note no size, of older servers. null: the quota is not known, because
   * the stream with the library's own is damaged, or the app's `quotaOf` failed.
   */
  documentBytes: added(Schema.Struct({ use: Count, atMost: Count }))
})

export const DocumentDetails = Schema.Struct({
  ...Document.fields,
  /** The proof chain's value at the last event. */
  chain: Schema.String,
  activeSnapshotId: Schema.NullOr(Schema.String),
  /** Updates since the active snapshot. */
  updates: Count,
  /** The last clock of every author since the active snapshot. */
  clocks: Schema.Record(Schema.String, Count),
  /** The snapshot that clients can restore, when the document is evicted. */
  evictedSnapshotId: Schema.NullOr(Schema.String)
})

export const Event = Schema.Struct({
  version: Count,
  type: Schema.String,
  origin: Schema.String,
  recordedAt: Time,
  payloadHash: Schema.String,
  /**
   * The size of the payload when it was stored. null: the event has none, or an older server stored it and did not note its
   * size.
   */
  payloadBytes: added(Count),
  /** The hash over this event and all before it. */
  chain: Schema.String,
  data: Schema.Json
})

/** An event of any stream, as `sync-admin events` shows it. */
export const LoggedEvent = Schema.Struct({
  streamId: Schema.String,
  version: Count,
  generation: Count,
  type: Schema.String,
  data: Schema.Json,
  origin: Schema.String,
  recordedAt: Time,
  /** null: the event has no payload, or its payload was purged. */
  payloadBytes: Schema.NullOr(Count),
  purged: Schema.Boolean
})

export const Replica = Schema.Struct({
  id: Schema.String,
  userId: Schema.String,
  type: Count,
  promise: Schema.NullOr(Schema.String),
  received: Schema.NullOr(Count),
  seen: Time,
  truant: Schema.Boolean
})

export const VerdantDetails = Schema.Struct({
  version: Count,
  generation: Count,
  operations: Count,
  baselines: Count,
  /** Operations that are older than this may be compacted. A Verdant timestamp. */
  watermark: Schema.NullOr(Schema.String),
  /** The id of the replica that holds the watermark down. */
  heldBy: Schema.NullOr(Schema.String),
  replicas: Schema.Array(Replica),
  files: Schema.Array(Schema.Struct({ id: Schema.String, name: Schema.String, size: Count, orphaned: Schema.Boolean }))
})

export const QuotaDetails = Schema.Struct({
  /** The parts that an operator set. The others are the app's, or those of each server. */
  quota: QuotaParts,
  /**
   * The quota in force on this server: the operator's parts before the app's, and the app's before the server's own. All parts
   * that the server knows.
   */
  atMost: added(QuotaParts),
  /** The use of the library's Verdant data, the number of its documents, and the events and payloads of all together. */
  use: Schema.Struct({
    objects: Count,
    operations: Count,
    bytes: Count,
    replicas: Count,
    files: Count,
    fileBytes: Count,
    events: Count,
    payloadBytes: added(Count),
    documents: Count
  })
})

export const Revocations = Schema.Struct({
  /** Ids of single tokens (`jti`). */
  tokens: Schema.Array(Schema.String),
  /** Tokens of these users that were issued at `before` or earlier. */
  users: Schema.Array(Schema.Struct({ userId: Schema.String, before: Time })),
  /** All tokens that were issued at this time or earlier; null: none. */
  before: Schema.NullOr(Time)
})

export const Deleted = Schema.Struct({
  documents: Schema.Array(
    Schema.Struct({
      /** `@verdant` stands for the library's Verdant data. */
      documentId: Schema.String,
      events: Count,
      payloadBytes: Count,
      files: Count,
      fileBytes: Count
    })
  ),
  /** True if the bytes of uploaded files are deleted as well; false if a server will delete them. */
  filesDeleted: Schema.Boolean
})

export const Connection = Schema.Struct({
  id: Schema.String,
  protocol: Schema.Literals(["secsync", "verdant"]),
  libraryId: LibraryId,
  userId: Schema.String,
  documentId: Schema.NullOr(Schema.String),
  tokenId: Schema.NullOr(Schema.String),
  openedAt: Time,
  waitingBytes: Count,
  endsAt: Time,
  state: Schema.Literals(["live", "behind", "leaving"])
})

export const Statistics = Schema.Struct({
  libraries: Count,
  documents: Count,
  evictedDocuments: Count,
  events: Count,
  payloads: Count,
  payloadBytes: Count,
  /** null: the log is empty. */
  createdAt: Schema.NullOr(Time),
  updatedAt: Schema.NullOr(Time),
  /** By the size of their payloads, the largest first. */
  largestLibraries: Schema.Array(Schema.Struct({ libraryId: LibraryId, payloadBytes: Count })),
  largestDocuments: Schema.Array(
    Schema.Struct({ libraryId: LibraryId, documentId: Schema.String, payloadBytes: Count })
  ),
  /** The size of the log on disk; null: the server does not know it. */
  diskBytes: Schema.NullOr(Count)
})

export const Pruned = Schema.Struct({
  libraryId: LibraryId,
  documentId: Schema.String,
  before: Count,
  payloads: Count,
  payloadBytes: Count
})

export const Webhook = Schema.Struct({
  id: WebhookId,
  url: Schema.String,
  /** null: all. */
  libraries: Schema.NullOr(Schema.Array(LibraryId)),
  types: Schema.NullOr(Schema.Array(Schema.Literals(CHANGE_TYPES))),
  createdAt: Time,
  /** When a delivery was last recorded, some seconds after it. A change of no type of the webhook counts as well. null: none known. */
  deliveredAt: added(Time),
  /** Libraries whose changes wait for a replay. */
  stopped: Count
})

export const WebhookDetails = Schema.Struct({
  ...Webhook.fields,
  /** Streams with changes that are not delivered; deliveries of the last seconds may not be counted yet. */
  streamsBehind: Count,
  /** Ranges of changes that the receiver did not take: the first was tried, and the others wait behind it. */
  deadLetters: Schema.Array(
    Schema.Struct({
      libraryId: LibraryId,
      streamId: Schema.String,
      fromVersion: Count,
      toVersion: Count,
      attempts: Count,
      /** The receiver's last answer. */
      problem: Schema.String,
      since: Time
    })
  )
})

/** `changed`: false if there was nothing to do. */
export const Change = Schema.Struct({ changed: Schema.Boolean })

/** The answers as JSON, for clients without Effect. */
export interface AdminAnswers {
  readonly Library: typeof Library.Encoded
  readonly LibraryDetails: typeof LibraryDetails.Encoded
  readonly QuotaDetails: typeof QuotaDetails.Encoded
  readonly VerdantDetails: typeof VerdantDetails.Encoded
  readonly Document: typeof Document.Encoded
  readonly DocumentDetails: typeof DocumentDetails.Encoded
  readonly Event: typeof Event.Encoded
  readonly LoggedEvent: typeof LoggedEvent.Encoded
  readonly Connection: typeof Connection.Encoded
  readonly Statistics: typeof Statistics.Encoded
  readonly Revocations: typeof Revocations.Encoded
  readonly Deleted: typeof Deleted.Encoded
  readonly Webhook: typeof Webhook.Encoded
  readonly WebhookDetails: typeof WebhookDetails.Encoded
}
