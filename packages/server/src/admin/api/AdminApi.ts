/**
 * The HTTP API of operators: its paths, parameters, answers and errors, without the server's side. `HttpApiClient.make(AdminApi)`
 * makes a typed client of it, and `GET /admin/api/openapi.json` describes it to others.
 */
import { Context, Schema } from "effect"
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
import { DocumentId, LibraryId, UserId } from "../../domain/Ids.ts"
import { Quota } from "../../domain/Quota.ts"

// ------------------------------------------------------------------------------------------------------------- errors

/** There is no valid token of an operator. */
export class NotAdministrator extends Schema.TaggedError<NotAdministrator>()(
  "NotAdministrator",
  { message: Schema.String },
  { httpApiStatus: 401 }
) {}

/** The log has no such library or document. */
export class NotInLog extends Schema.TaggedError<NotInLog>()(
  "NotInLog",
  { message: Schema.String },
  { httpApiStatus: 404 }
) {}

/** The storage did not answer. The same request may succeed later. */
export class Unavailable extends Schema.TaggedError<Unavailable>()(
  "Unavailable",
  { message: Schema.String },
  { httpApiStatus: 503 }
) {}

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

const Library = Schema.Struct({
  libraryId: LibraryId,
  payloadBytes: Count
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
  payloads: Count,
  payloadBytes: Count,
  createdAt: Time,
  updatedAt: Time
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
  /** The hash over this event and all before it. */
  chain: Schema.String,
  data: Schema.Json
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
  watermark: Schema.NullOr(Schema.String),
  replicas: Schema.Array(Replica)
})

const Connection = Schema.Struct({
  id: Schema.String,
  protocol: Schema.Literals(["secsync", "verdant"]),
  libraryId: LibraryId,
  userId: Schema.String,
  documentId: Schema.NullOr(Schema.String),
  tokenId: Schema.NullOr(Schema.String),
  openedAt: Time,
  waitingBytes: Count
})

const Statistics = Schema.Struct({
  libraries: Count,
  documents: Count,
  evictedDocuments: Count,
  events: Count,
  payloads: Count,
  payloadBytes: Count,
  /** By the size of their payloads, the largest first. */
  largestLibraries: Schema.Array(Schema.Struct({ libraryId: LibraryId, payloadBytes: Count }))
})

/** `changed`: false if there was nothing to do. */
const Change = Schema.Struct({ changed: Schema.Boolean })

/** The reason, which stays in the event. The operator is the token's `sub`. */
const Why = Schema.Struct({ reason: Schema.optionalKey(Reason) })

/** At least one field, so that an empty request does not concern everybody. */
const aboutSome = <Fields extends Schema.Struct.Fields>(fields: Fields) =>
  Schema.Struct({ ...fields, all: Schema.optionalKey(Schema.Literal(true)) }).check(
    Schema.makeFilter((payload) => Object.keys(fields).some((name) => name in payload) || "all" in payload, {
      expected: `one of ${Object.keys(fields).join(", ")}, or all: true`
    })
  )

const PageSize = Schema.FiniteFromString.check(Schema.isInt(), Schema.isBetween({ minimum: 1, maximum: 1000 }))
const Version = Schema.FiniteFromString.check(Schema.isInt(), Schema.isGreaterThanOrEqualTo(0))

const library = { libraryId: LibraryId }
const document = { libraryId: LibraryId, documentId: DocumentId }
const missing = [NotInLog, Unavailable]

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
      success: VerdantDetails,
      error: missing
    }),
    HttpApiEndpoint.post("evict", "/libraries/:libraryId/evict", {
      params: library,
      payload: Schema.Struct({
        documentId: Schema.optionalKey(DocumentId),
        dryRun: Schema.optionalKey(Schema.Boolean)
      }),
      success: Schema.Array(
        Schema.Struct({
          documentId: Schema.String,
          events: Count,
          payloadBytes: Count,
          files: Count,
          fileBytes: Count
        })
      ),
      error: missing
    }),
    HttpApiEndpoint.post("suspend", "/libraries/:libraryId/suspend", {
      params: library,
      payload: Why,
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
        ...Why.fields,
        whose: aboutSome({ userId: Schema.optionalKey(UserId), tokenId: Schema.optionalKey(Schema.String) })
      }),
      success: Change,
      error: missing
    }),
    HttpApiEndpoint.post("setQuota", "/libraries/:libraryId/quota", {
      params: library,
      payload: Schema.Struct({
        ...Why.fields,
        quota: Schema.Struct(
          Object.fromEntries(Object.entries(Quota.fields).map(([name, part]) => [name, Schema.optionalKey(part)]))
        )
      }),
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
    HttpApiEndpoint.get("statistics", "/statistics", { success: Statistics, error: Unavailable }),
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

/** Where the API is served. */
export const ADMIN_API_PATH = "/admin/api"

export class AdminApi extends HttpApi.make("sealog-admin")
  .add(libraries, documents, server)
  .middleware(Authorization)
  .prefix(ADMIN_API_PATH)
  .annotateMerge(
    OpenApi.annotations({
      title: "Sealog for operators",
      version: "1",
      description: "Everything is asked with a token that `sync-admin token mint --admin` makes."
    })
  ) {}
