/**
 * The HTTP API of operators: its paths, parameters, answers and errors, without the server's side. `HttpApiClient.make(AdminApi)`
 * makes a typed client of it, and `GET /admin/api/openapi.json` describes it to others.
 */
import { Context, Effect, Schema, Struct } from "effect"
import {
  HttpApi,
  HttpApiEndpoint,
  HttpApiGroup,
  HttpApiMiddleware,
  HttpApiSchema,
  HttpApiSecurity,
  OpenApi
} from "effect/http-api"
import { Reason } from "../../domain/Administration.ts"
import { CHANGE_TYPES } from "../../domain/changes/ChangeMessage.ts"
import { DocumentId, LibraryId, UserId } from "../../domain/Ids.ts"
import { QUOTA_PARTS, Quota } from "../../domain/Quota.ts"
import { ReplicaId } from "../../domain/verdant/Events.ts"
import { WebhookAdded, WebhookId, WebhookUrl } from "../../domain/webhooks/Events.ts"

// ------------------------------------------------------------------------------------------------------------- errors

/** There is no valid token of an operator. */
export class NotAdministrator extends Schema.TaggedError<NotAdministrator>()(
  "NotAdministrator",
  { message: Schema.String },
  { httpApiStatus: 401 }
) {}

/** The log has no such library, document or webhook. */
export class NotInLog extends Schema.TaggedError<NotInLog>()(
  "NotInLog",
  { message: Schema.String, what: Schema.Literals(["library", "document", "webhook"]) },
  { httpApiStatus: 404 }
) {}

/** The library's Verdant data cannot be read. `sync-admin replay` names what is damaged. */
export class LibraryDamaged extends Schema.TaggedError<LibraryDamaged>()(
  "LibraryDamaged",
  { message: Schema.String },
  { httpApiStatus: 500 }
) {}

/** The log has as many webhooks as a server delivers to. */
export class WebhooksFull extends Schema.TaggedError<WebhooksFull>()(
  "WebhooksFull",
  { message: Schema.String },
  { httpApiStatus: 409 }
) {}

/** The storage did not answer. The same request may succeed later. */
export class Unavailable extends Schema.TaggedError<Unavailable>()(
  "Unavailable",
  { message: Schema.String },
  { httpApiStatus: 503 }
) {}

const QuotaParts = Quota.mapFields(Struct.map(Schema.optionalKey))
/** A claim of tokens that a revocation names: `jti` or `sub`. */
const Claim = Schema.NonEmptyString.check(Schema.isMaxLength(200))

/** The name of the operator who asks. */
export class CurrentOperator extends Context.Service<CurrentOperator, string>()(
  "@sealog/server/AdminApi/CurrentOperator"
) {}

/** Checks the token of every request. */
export class Authorization extends HttpApiMiddleware.Service<
  Authorization,
  { provides: CurrentOperator; requires: never }
>()("@sealog/server/AdminApi/Authorization", {
  security: { bearer: HttpApiSecurity.bearer },
  error: [NotAdministrator, Unavailable],
  requiredForClient: true
}) {}

// ------------------------------------------------------------------------------------------------------------- shapes

const Count = Schema.Int
/** Milliseconds since 1970. */
const Time = Schema.Finite

/**
 * A field that was added to an answer after its first version. An older server does not send it, and a newer client then reads
 * null. packages/cli/test/OlderServer.test.ts fails for an added field without this.
 */
const added = <Field extends Schema.Constraint>(field: Field) =>
  Schema.NullOr(field).pipe(Schema.withDecodingDefaultKey(Effect.succeed(null)))

const Library = Schema.Struct({
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

const LibraryDetails = Schema.Struct({
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

const Document = Schema.Struct({
  documentId: Schema.String,
  version: Count,
  generation: Count,
  payloads: Count,
  payloadBytes: Count,
  /** Whether its payloads were purged, by an eviction or a deletion. */
  evicted: added(Schema.Boolean),
  createdAt: Time,
  updatedAt: Time,
  /**
   * The bytes that count for the quota `documentBytes`: the active snapshot and its updates. The quota itself leaves out payloads
   * whose events note no size, of older servers. null: the quota is not known, because
   * the stream with the library's own is damaged, or the app's `quotaOf` failed.
   */
  documentBytes: added(Schema.Struct({ use: Count, atMost: Count }))
})

const DocumentDetails = Schema.Struct({
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

const Event = Schema.Struct({
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
const LoggedEvent = Schema.Struct({
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

const Replica = Schema.Struct({
  id: Schema.String,
  userId: Schema.String,
  type: Count,
  promise: Schema.NullOr(Schema.String),
  received: Schema.NullOr(Count),
  seen: Time,
  truant: Schema.Boolean
})

const VerdantDetails = Schema.Struct({
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

const QuotaDetails = Schema.Struct({
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

const Revocations = Schema.Struct({
  /** Ids of single tokens (`jti`). */
  tokens: Schema.Array(Schema.String),
  /** Tokens of these users that were issued at `before` or earlier. */
  users: Schema.Array(Schema.Struct({ userId: Schema.String, before: Time })),
  /** All tokens that were issued at this time or earlier; null: none. */
  before: Schema.NullOr(Time)
})

const Deleted = Schema.Struct({
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

const Connection = Schema.Struct({
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

const Statistics = Schema.Struct({
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

const Pruned = Schema.Struct({
  libraryId: LibraryId,
  documentId: Schema.String,
  before: Count,
  payloads: Count,
  payloadBytes: Count
})

const Webhook = Schema.Struct({
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

const WebhookDetails = Schema.Struct({
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
const Change = Schema.Struct({ changed: Schema.Boolean })

/** The reason, which stays in the event. The operator is the token's `sub`. */
const Why = Schema.Struct({ reason: Schema.optionalKey(Reason) })

/** For deeds that a library may be the subject of before its first client comes. Without it, an unknown name is a typo. */
const WhyAndNew = Schema.Struct({ ...Why.fields, newLibrary: Schema.optionalKey(Schema.Boolean) })

/** At least one field, so that an empty request does not concern everybody. */
const aboutSome = <Fields extends Schema.Struct.Fields>(fields: Fields) =>
  Schema.Struct({ ...fields, all: Schema.optionalKey(Schema.Literal(true)) }).check(
    Schema.makeFilter((payload) => Object.keys(fields).some((name) => name in payload) || "all" in payload, {
      expected: `one of ${Object.keys(fields).join(", ")}, or all: true`
    })
  )

const Integer = Schema.FiniteFromString.check(Schema.isInt())
const PageSize = Integer.check(Schema.isBetween({ minimum: 1, maximum: 1000 }))
const Version = Integer.check(Schema.isGreaterThanOrEqualTo(0))
const optionalFlag = Schema.optional(Schema.Literals(["true", "false"]))

const library = { libraryId: LibraryId }
const document = { libraryId: LibraryId, documentId: DocumentId }
const missing = [NotInLog, Unavailable]
const damaged = [NotInLog, Unavailable, LibraryDamaged]

// ---------------------------------------------------------------------------------------------------------- endpoints

const libraries = HttpApiGroup.make("libraries")
  .add(
    HttpApiEndpoint.get("list", "/libraries", {
      query: { after: Schema.optional(LibraryId), limit: Schema.optional(PageSize) },
      success: Schema.Array(Library),
      error: Unavailable
    }),
    HttpApiEndpoint.get("show", "/libraries/:libraryId", { params: library, success: LibraryDetails, error: missing }),
    HttpApiEndpoint.get("verdant", "/libraries/:libraryId/verdant", {
      params: library,
      /** null: the library has no Verdant data. */
      success: Schema.NullOr(VerdantDetails),
      error: damaged
    }),
    HttpApiEndpoint.get("verdantDocument", "/libraries/:libraryId/verdant/document", {
      params: library,
      query: { collection: Schema.String, id: Schema.String },
      success: Schema.Struct({ snapshot: Schema.Json }),
      error: damaged
    }),
    HttpApiEndpoint.post("truant", "/libraries/:libraryId/replicas/:replicaId/truant", {
      params: { ...library, replicaId: ReplicaId },
      success: Change,
      error: missing
    }),
    HttpApiEndpoint.post("evict", "/libraries/:libraryId/evict", {
      params: library,
      payload: Schema.Struct({
        documentId: Schema.optionalKey(DocumentId),
        dryRun: Schema.optionalKey(Schema.Boolean)
      }),
      success: Deleted,
      error: missing
    }),
    HttpApiEndpoint.post("delete", "/libraries/:libraryId/delete", {
      params: library,
      payload: Schema.Struct({
        ...WhyAndNew.fields,
        documentId: Schema.optionalKey(DocumentId),
        dryRun: Schema.optionalKey(Schema.Boolean)
      }),
      success: Deleted,
      error: missing
    }),
    HttpApiEndpoint.post("allowAgain", "/libraries/:libraryId/allow-again", {
      params: library,
      payload: Schema.Struct({ ...WhyAndNew.fields, documentId: Schema.optionalKey(DocumentId) }),
      success: Change,
      error: missing
    }),
    HttpApiEndpoint.post("suspend", "/libraries/:libraryId/suspend", {
      params: library,
      payload: WhyAndNew,
      success: Change,
      error: missing
    }),
    HttpApiEndpoint.post("resume", "/libraries/:libraryId/resume", {
      params: library,
      payload: Why,
      success: Change,
      error: missing
    }),
    HttpApiEndpoint.post("revoke", "/libraries/:libraryId/revoke", {
      params: library,
      payload: Schema.Struct({
        ...WhyAndNew.fields,
        whose: aboutSome({ userId: Schema.optionalKey(Claim), tokenId: Schema.optionalKey(Claim) })
      }),
      success: Change,
      error: missing
    }),
    HttpApiEndpoint.get("revocations", "/libraries/:libraryId/revocations", {
      params: library,
      success: Revocations,
      error: missing
    }),
    HttpApiEndpoint.post("forgetKeys", "/libraries/:libraryId/forget-keys", {
      params: library,
      payload: Schema.Struct({ ...Why.fields, userId: UserId }),
      success: Change,
      error: missing
    }),
    HttpApiEndpoint.get("administration", "/libraries/:libraryId/administration", {
      params: library,
      success: Schema.Array(LoggedEvent),
      error: missing
    }),
    HttpApiEndpoint.get("quota", "/libraries/:libraryId/quota", {
      params: library,
      success: QuotaDetails,
      error: damaged
    }),
    HttpApiEndpoint.post("setQuota", "/libraries/:libraryId/quota", {
      params: library,
      payload: Schema.Struct({ ...WhyAndNew.fields, quota: Schema.Union([QuotaParts, Schema.Literal("default")]) }),
      success: Change,
      error: missing
    })
  )
  .annotateMerge(OpenApi.annotations({ description: "Libraries, and what an operator may do with them" }))

const documents = HttpApiGroup.make("documents")
  .add(
    HttpApiEndpoint.get("list", "/libraries/:libraryId/documents", {
      params: library,
      query: { after: Schema.optional(DocumentId), limit: Schema.optional(PageSize) },
      success: Schema.Array(Document),
      error: missing
    }),
    HttpApiEndpoint.post("create", "/libraries/:libraryId/documents", {
      params: library,
      payload: Schema.Struct({ documentId: DocumentId, newLibrary: Schema.optionalKey(Schema.Boolean) }),
      success: Schema.Struct({ outcome: Schema.Literals(["created", "present", "deleted"]) }),
      error: missing
    }),
    HttpApiEndpoint.get("show", "/libraries/:libraryId/documents/:documentId", {
      params: document,
      success: DocumentDetails,
      error: missing
    }),
    HttpApiEndpoint.get("events", "/libraries/:libraryId/documents/:documentId/events", {
      params: document,
      query: { after: Schema.optional(Version), limit: Schema.optional(PageSize) },
      success: Schema.Array(Event),
      error: missing
    })
  )
  .annotateMerge(OpenApi.annotations({ description: "Secsync documents: sizes, clocks and events, never content" }))

const server = HttpApiGroup.make("server")
  .add(
    HttpApiEndpoint.get("statistics", "/statistics", {
      query: { libraryId: Schema.optional(LibraryId) },
      success: Statistics,
      error: missing
    }),
    HttpApiEndpoint.get("events", "/events", {
      query: {
        /** A library, or `@server` for what holds for all of them. */
        libraryId: Schema.Union([LibraryId, Schema.Literal("@server")]),
        streamId: Schema.optional(Schema.String),
        /** The last so many events, or those after a version of one stream. Default: the last 50. */
        last: Schema.optional(Integer.check(Schema.isBetween({ minimum: 0, maximum: 10_000 }))),
        after: Schema.optional(Version),
        follow: optionalFlag
      },
      success: HttpApiSchema.StreamNdjson({ schema: LoggedEvent }),
      error: missing
    }),
    HttpApiEndpoint.post("prune", "/prune", {
      payload: Schema.Struct({
        libraryId: Schema.optionalKey(LibraryId),
        documentId: Schema.optionalKey(DocumentId),
        keepSnapshots: Schema.Int.check(Schema.isGreaterThanOrEqualTo(1)),
        /** Deletes only payloads that were recorded until then, milliseconds since 1970. */
        recordedUntil: Time,
        dryRun: Schema.optionalKey(Schema.Boolean)
      }),
      success: Schema.Array(Pruned),
      error: missing
    }),
    HttpApiEndpoint.post("revoke", "/revoke", {
      payload: Schema.Struct({
        ...Why.fields,
        whose: Schema.Union([Schema.Struct({ userId: Claim }), Schema.Struct({ tokenId: Claim })])
      }),
      success: Change,
      error: Unavailable
    }),
    HttpApiEndpoint.get("revocations", "/revocations", { success: Revocations, error: Unavailable }),
    HttpApiEndpoint.get("metrics", "/metrics", { success: Schema.String.pipe(HttpApiSchema.asText()) }),
    HttpApiEndpoint.get("connections", "/connections", {
      query: { libraryId: Schema.optional(LibraryId), userId: Schema.optional(Schema.String) },
      success: Schema.Array(Connection)
    }),
    HttpApiEndpoint.post("disconnect", "/connections/disconnect", {
      payload: aboutSome({
        id: Schema.optionalKey(Schema.String),
        libraryId: Schema.optionalKey(LibraryId),
        userId: Schema.optionalKey(Schema.String)
      }),
      success: Schema.Struct({ disconnected: Count })
    })
  )
  .annotateMerge(OpenApi.annotations({ description: "The process that answers: its connections and metrics" }))

const webhook = { webhookId: WebhookId }

const webhooks = HttpApiGroup.make("webhooks")
  .add(
    HttpApiEndpoint.get("list", "/webhooks", { success: Schema.Array(Webhook), error: Unavailable }),
    HttpApiEndpoint.post("add", "/webhooks", {
      payload: Schema.Struct({
        ...WhyAndNew.fields,
        url: WebhookUrl.check(Schema.makeFilter((url) => URL.canParse(url), { expected: "a URL" })),
        /** Default: all libraries, also those that are made later. */
        libraries: WebhookAdded.fields.libraries,
        /** Default: all types. */
        types: WebhookAdded.fields.types,
        /** Where deliveries begin: with the next change of each stream (default), or with the first one. */
        from: Schema.optionalKey(Schema.Literals(["now", "start"]))
      }),
      /** The secret is in this answer alone. */
      success: Schema.Struct({ id: WebhookId, secret: Schema.String }),
      error: [NotInLog, WebhooksFull, Unavailable]
    }),
    HttpApiEndpoint.get("show", "/webhooks/:webhookId", { params: webhook, success: WebhookDetails, error: missing }),
    HttpApiEndpoint.post("remove", "/webhooks/:webhookId/remove", {
      params: webhook,
      payload: Why,
      success: Change,
      error: missing
    }),
    HttpApiEndpoint.post("replay", "/webhooks/:webhookId/replay", {
      params: webhook,
      payload: Schema.Struct({
        ...Why.fields,
        /** Default: all that wait. */
        libraryId: Schema.optionalKey(LibraryId),
        /** Goes on after the change that was not taken, of one library. Default: false, it is tried again. */
        skip: Schema.optionalKey(Schema.Boolean),
        /** Only if this is the version that waits in the library. Nothing waits, otherwise. */
        version: Schema.optionalKey(Count)
      }).check(
        Schema.makeFilter(({ libraryId, skip }) => skip !== true || libraryId !== undefined, {
          expected: "a libraryId with skip"
        })
      ),
      /** The libraries that waited. */
      success: Schema.Struct({ libraries: Schema.Array(LibraryId) }),
      error: missing
    }),
    HttpApiEndpoint.post("test", "/webhooks/:webhookId/test", {
      params: webhook,
      /** The status of the receiver's answer, or what went wrong. */
      success: Schema.Union([Schema.Struct({ status: Count }), Schema.Struct({ problem: Schema.String })]),
      error: missing
    })
  )
  .annotateMerge(OpenApi.annotations({ description: "URLs of backends, to which the servers deliver changes" }))

/** Where the API is served. */
export const ADMIN_API_PATH = "/admin/api"

export class AdminApi extends HttpApi.make("sealog-admin")
  .add(libraries, documents, webhooks, server)
  .middleware(Authorization)
  .prefix(ADMIN_API_PATH)
  .annotateMerge(
    OpenApi.annotations({
      title: "Sealog for operators",
      version: "1",
      description: "Everything is asked with a token that `sync-admin token mint --admin` makes."
    })
  ) {}

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
