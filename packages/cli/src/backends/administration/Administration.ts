/**
 * The deeds of an operator: each command calls one, and it runs on the database (`onLog.ts`) or through the HTTP API of a server
 * (`onServer.ts`). The results are the same, and so are the errors for a name that the log does not hold.
 */
import type {
  Attribution,
  Creation,
  EventsOptions,
  EventsScope,
  EvictedDocument,
  LibraryDetails,
  LibraryUse,
  ListedLibrary,
  LoggedEvent,
  NewWebhook,
  PrunedDocument,
  PruneOptions,
  Quota,
  QuotaChange,
  Replay,
  ReplicaId,
  Revocation,
  Statistics,
  VerdantInfo,
  WebhookDetails,
  WebhookId,
  WebhookSummary
} from "@sealog/server/admin"
import type { DocumentId, LibraryId } from "@sealog/server/ports"
import type * as Effect from "effect/Effect"

type Deed<A> = Effect.Effect<A, unknown>

export interface DocumentSummary {
  readonly documentId: string
  readonly version: number
  readonly generation: number
  readonly payloads: number
  readonly payloadBytes: number
  /** null, as `deleted`: an older server does not tell it. */
  readonly evicted: boolean | null
  readonly deleted: boolean | null
  readonly createdAt: number
  readonly updatedAt: number
  /**
   * The bytes that count for the quota `documentBytes`. On a database, the most is the default, unless an operator set another.
   * null: it is not known, because an older server does not tell it, or the stream with the library's own quota is damaged.
   */
  readonly documentBytes: { readonly use: number; readonly atMost: number } | null
}

export interface Document extends DocumentSummary {
  readonly chain: string
  readonly activeSnapshotId: string | null
  readonly evictedSnapshotId: string | null
  readonly updates: number
  readonly clocks: Readonly<Record<string, number>>
}

/** A library, or one Secsync document of it. */
export interface Target {
  readonly libraryId: LibraryId
  readonly documentId?: DocumentId
}

/** `newLibrary`: the library need not exist yet. */
export interface Change {
  readonly by?: Attribution
  readonly newLibrary?: boolean
}

/** `newDocument`: the document need not exist yet. */
export interface DocumentChange extends Change {
  readonly newDocument?: boolean
}

export interface Deletion {
  readonly documents: ReadonlyArray<EvictedDocument>
  /** True if the bytes of the files are deleted; false if a server will delete them. */
  readonly filesDeleted: boolean
}

/** `payloadBytes`: null if it is not known, because an older server does not tell it. */
export type QuotaUse = Omit<LibraryUse & Pick<Quota, "documents">, "payloadBytes"> & {
  readonly payloadBytes: number | null
}

/** A deed about a library that the log does not hold fails with `NO_SUCH_LIBRARY`. */
export interface Administration {
  /** On a database, the parts of a quota that no operator set are those of `defaultQuota`. */
  readonly libraries: Deed<ReadonlyArray<ListedLibrary>>
  readonly library: (libraryId: LibraryId) => Deed<LibraryDetails & { readonly suspended: boolean }>
  /** undefined: the library has no Verdant data. */
  readonly verdant: (libraryId: LibraryId) => Deed<VerdantInfo | undefined>
  readonly verdantDocument: (libraryId: LibraryId, collection: string, id: string) => Deed<unknown>
  readonly truant: (libraryId: LibraryId, replicaId: ReplicaId) => Deed<boolean>
  readonly documents: (libraryId: LibraryId) => Deed<ReadonlyArray<DocumentSummary>>
  readonly document: (libraryId: LibraryId, documentId: DocumentId) => Deed<Document | undefined>
  readonly createDocument: (libraryId: LibraryId, documentId: DocumentId, change: Change) => Deed<Creation>
  readonly eachEvent: <E>(
    scope: EventsScope,
    options: EventsOptions,
    visit: (page: ReadonlyArray<LoggedEvent>) => Effect.Effect<void, E>
  ) => Effect.Effect<void, unknown>
  readonly evict: (target: Target, options: { readonly dryRun: boolean }) => Deed<Deletion>
  readonly delete: (target: Target, options: DocumentChange & { readonly dryRun: boolean }) => Deed<Deletion>
  readonly allowAgain: (target: Target, change: DocumentChange) => Deed<void>
  readonly prune: (options: PruneOptions) => Deed<ReadonlyArray<PrunedDocument>>
  readonly suspend: (libraryId: LibraryId, change: Change) => Deed<boolean>
  readonly resume: (libraryId: LibraryId, change: Change) => Deed<boolean>
  readonly revoke: (revocation: Revocation, change: Change) => Deed<boolean>
  readonly forgetKeys: (libraryId: LibraryId, userId: string, change: Change) => Deed<boolean>
  readonly quota: (libraryId: LibraryId) => Deed<{
    readonly quota: QuotaChange
    /** null: on a database, since each server has its own for the parts that no operator set. An older server lacks parts. */
    readonly atMost: QuotaChange | null
    readonly use: QuotaUse
  }>
  readonly setQuota: (libraryId: LibraryId, quota: QuotaChange | "default", change: Change) => Deed<boolean>
  readonly webhooks: Deed<ReadonlyArray<WebhookSummary>>
  /** This and the following ones fail with `NO_SUCH_WEBHOOK`. */
  readonly webhook: (id: WebhookId) => Deed<WebhookDetails>
  /** Returns the secret, which is not shown again. */
  readonly addWebhook: (webhook: NewWebhook, change: Change) => Deed<{ readonly id: string; readonly secret: string }>
  readonly removeWebhook: (id: WebhookId, change: Change) => Deed<void>
  /** Returns the libraries that waited. */
  readonly replayWebhook: (id: WebhookId, replay: Replay, change: Change) => Deed<ReadonlyArray<LibraryId>>
  /** The database's test is sent from this machine, and the server's from where it runs. */
  readonly testWebhook: (id: WebhookId) => Deed<{ readonly status: number } | { readonly problem: string }>
  /** `diskBytes`: null if it is not known. */
  readonly statistics: (libraryId: LibraryId | undefined) => Deed<Statistics & { readonly diskBytes: number | null }>
}
