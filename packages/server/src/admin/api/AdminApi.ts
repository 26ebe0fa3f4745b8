/**
 * The HTTP API of operators: its paths and parameters, without the server's side. `HttpApiClient.make(AdminApi)`
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
import { ReplicaId } from "../../domain/verdant/Events.ts"
import { WebhookAdded, WebhookId, WebhookUrl } from "../../domain/webhooks/Events.ts"
import {
  Change,
  Connection,
  Count,
  Deleted,
  Document,
  DocumentDetails,
  Event,
  Library,
  LibraryDetails,
  LoggedEvent,
  Pruned,
  QuotaDetails,
  QuotaParts,
  Revocations,
  Statistics,
  Time,
  VerdantDetails,
  Webhook,
  WebhookDetails
} from "./AdminAnswers.ts"
import { LibraryDamaged, NotAdministrator, NotInLog, Unavailable, WebhooksFull } from "./AdminErrors.ts"

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

/** A claim of tokens that a revocation names: `jti` or `sub`. Postgres stores no text with a control character 0. */
const Claim = UserId

/** A document's id, or the name of a stream of the server's own, such as `@verdant`. */
const StreamId = Schema.String.check(Schema.isPattern(/^[^\p{Cc}\p{Cs}]{1,200}$/u))

/** The reason, which stays in the event. The operator is the token's `sub`. */
const Why = Schema.Struct({ reason: Schema.optionalKey(Reason) })

/** For deeds that a library may be the subject of before its first client comes. Without it, an unknown name is a typo. */
const WhyAndNew = Schema.Struct({ ...Why.fields, newLibrary: Schema.optionalKey(Schema.Boolean) })

/** For deeds that may also concern a document before it exists. */
const WhyAndNewDocument = Schema.Struct({
  ...WhyAndNew.fields,
  documentId: Schema.optionalKey(DocumentId),
  newDocument: Schema.optionalKey(Schema.Boolean)
})

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
      payload: Schema.Struct({ ...WhyAndNewDocument.fields, dryRun: Schema.optionalKey(Schema.Boolean) }),
      success: Deleted,
      error: missing
    }),
    HttpApiEndpoint.post("allowAgain", "/libraries/:libraryId/allow-again", {
      params: library,
      payload: WhyAndNewDocument,
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
        streamId: Schema.optional(StreamId),
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
