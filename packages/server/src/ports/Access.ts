/**
 * Access: verifies tokens, and asks the app's policy what a grant allows. `JwtAccess` implements it with signed tokens and
 * without a policy; an app that has its own users or its own rights supplies its own layer.
 */
import { Context, type Duration, Effect, Layer, Schema } from "effect"
import { ClaimText, DocumentId, type FileId, LibraryId, PublicKey, UserId } from "../domain/Ids.ts"
import type { StorageUnavailable } from "./EventLog.ts"

/** Verdant's replica types by number. */
export const ReplicaType = {
  realtime: 0,
  push: 1,
  "passive-realtime": 2,
  "passive-push": 3,
  "read-only-pull": 4,
  "read-only": 5
} as const
export type ReplicaTypeName = keyof typeof ReplicaType

/** The rights of a verified token. */
export const Grant = Schema.Struct({
  /** The user (`sub`). */
  userId: UserId,
  libraryId: LibraryId,
  /** The documents that the token gives access to; undefined means all of the library. */
  documents: Schema.UndefinedOr(Schema.Array(DocumentId)),
  /** The Secsync signing keys that the user may write with; undefined means any. Verdant's operations are not signed. */
  signingKeys: Schema.optional(Schema.Array(PublicKey)),
  readOnly: Schema.Boolean,
  /** Verdant's number of the replica type. */
  replicaType: Schema.Int,
  /** The claim `role`, for the app: it is in the changes of the user. The server does not look at it. */
  role: Schema.optional(ClaimText),
  /** Whether the bearer is a backend of the app that receives the changes of every user (`GET /changes`). */
  changes: Schema.optional(Schema.Boolean),
  /** Seconds since 1970. */
  expiresAt: Schema.Finite,
  /** The claim `jti`, by which a token can be revoked. */
  tokenId: Schema.UndefinedOr(ClaimText),
  /** Seconds since 1970, with fractions. A token without it counts as older than any revocation. */
  issuedAt: Schema.UndefinedOr(Schema.Finite)
})
export type Grant = typeof Grant.Type

/** Whether the token reaches a Secsync document of its library. */
export const reachesDocument = ({ documents }: Grant, documentId: DocumentId): boolean =>
  documents === undefined || documents.includes(documentId)

/** Whether a grant allows Secsync messages that are signed with a key. */
export const maySignWith = ({ signingKeys }: Grant, pubKey: PublicKey): boolean =>
  signingKeys === undefined || signingKeys.includes(pubKey)

/** The action of a client in the library of its grant. */
export type Action =
  /**
   * `Read`: load a Secsync document, or sync a Verdant library (`documentId` is undefined). `Receive`: be sent what other
   * clients do there, on a connection that stays.
   */
  | { readonly _tag: "Read" | "Receive"; readonly documentId: DocumentId | undefined }
  /** Secsync. The key's signature is verified before the policy is asked. */
  | {
      readonly _tag: "WriteSnapshot" | "WriteUpdate" | "SendEphemeralMessage"
      readonly documentId: DocumentId
      readonly pubKey: PublicKey
      /** A snapshot's `additionalServerData`, for this decision alone. It is neither stored nor sent. */
      readonly additionalServerData?: unknown
    }
  /** Verdant: change, create or delete a document. Asked once for each document of a message. */
  | { readonly _tag: "WriteOperation"; readonly collection: string; readonly documentId: string }
  /** Verdant: show the user's presence to the others. */
  | { readonly _tag: "SendPresence" }
  /**
   * Receive the changes of a library's Verdant data (`documentId` is undefined) or of a Secsync document, as a backend with the
   * right to them. Asked when the request comes, and again after `Access.changed`.
   */
  | { readonly _tag: "ReceiveChanges"; readonly documentId: DocumentId | undefined }
  | { readonly _tag: "UploadFile"; readonly fileId: FileId }
  /**
   * Download a file, or get the link to it. `byLink`: the client has a signed link and no token, so the grant names no user
   * (its `userId` is `@link`). The link was given to a client that was allowed to download the file.
   */
  | { readonly _tag: "DownloadFile"; readonly fileId: FileId; readonly byLink: boolean }

export class TokenRefused extends Schema.TaggedError<TokenRefused>()("TokenRefused", {
  /** "unavailable": the keys that could verify the token cannot be read now. The client is told to try again later. */
  reason: Schema.Literals(["malformed", "signature", "expired", "claims", "unavailable"]),
  message: Schema.String
}) {}

/** The claims of a new token. */
export interface TokenRequest {
  readonly userId: string
  readonly libraryId: LibraryId
  readonly documents?: ReadonlyArray<DocumentId>
  /** The Secsync signing keys that the user may write with (claim `keys`, at most 100). Default: any. */
  readonly signingKeys?: ReadonlyArray<PublicKey>
  /** Default: `realtime`. */
  readonly type?: ReplicaTypeName
  /** Default: 1 day. */
  readonly expiresIn?: Duration.Duration
  /** The URL at which Verdant clients find the server: the claim `url`. */
  readonly endpoint?: string
  /** The URL at which Verdant clients find files: the claim `file`. Default: `/files` below `endpoint`. */
  readonly fileEndpoint?: string
  /** The app's own word for the user's rights, at most 200 characters: the claim `role`, which changes carry. */
  readonly role?: string
  /** Lets a backend of the app receive the changes of every user: the claim `changes`. Default: false. */
  readonly changes?: boolean
}

/** A client that connects, or sends a request, as an app with sessions of its own sees it. */
export interface AccessRequest {
  readonly protocol: "secsync" | "verdant"
  /** The path and query, as the HTTP server received it. */
  readonly url: string
  readonly headers: Readonly<Record<string, string | ReadonlyArray<string> | undefined>>
  /** The text that the client sends as its token: Secsync's `sessionKey`, or Verdant's bearer token. "" if there is none. */
  readonly token: string
  /** The document that a Secsync client asks for. */
  readonly documentId: DocumentId | undefined
}

/** Settings of the app's policy. */
export interface AccessOptions {
  /**
   * Time for one answer of `Access.allows`. Default: 5 seconds. Later, as after an error, the client is refused for now: its
   * socket is closed with 1013, and a request is answered with 503.
   */
  readonly policyTimeout?: Duration.Input
  /**
   * Whether the policy is asked for `Receive` before each event is sent to a client, as secsync-server asks. Events that
   * come while an answer is awaited share the next question. Default: false, it is asked when a client connects and after
   * `Access.changed`.
   */
  readonly asksForEachEvent?: boolean
}

/** The connections that an app's change of rights concerns: those that match all of the given fields. */
export interface AccessChange {
  readonly libraryId?: LibraryId
  readonly userId?: string
  /** The claim `jti`. */
  readonly tokenId?: string
  /** A Secsync document. A Verdant client has all documents of its library, so a document of its library concerns it. */
  readonly documentId?: DocumentId
}

/** Tells the server that the app's rights have changed. Every `SyncServer` layer provides it; see `Access.changed`. */
export class AccessChanges extends Context.Service<
  AccessChanges,
  { readonly changed: (change: AccessChange) => Effect.Effect<void, StorageUnavailable> }
>()("@sealog/server/AccessChanges") {}

export class Access extends Context.Service<
  Access,
  {
    /** Checks a token's signature, claims and expiry. */
    readonly verify: (token: string) => Effect.Effect<Grant, TokenRefused>
    readonly mint: (request: TokenRequest) => Effect.Effect<string>
    /**
     * The grant of a client by the app's own sessions, in place of `verify`. Default: the client's token is verified. A defect
     * closes a socket with 1011, and is answered with 500.
     */
    readonly authenticate?: (request: AccessRequest) => Effect.Effect<Grant, TokenRefused>
    /**
     * The app's policy: decides whether a grant allows an action, within the rights of the token, which the server holds in
     * any case. Default: the token alone decides. A failure, a defect or a late answer refuses, and is logged.
     */
    readonly allows?: (grant: Grant, action: Action) => Effect.Effect<boolean, unknown>
    /** Completes when a grant ends. The server then closes its connections at once. */
    readonly ended: (grant: Grant) => Effect.Effect<void>
  }
>()("@sealog/server/Access") {
  /** Adds the app's policy to the `Access` that it is provided with, for example `JwtAccess.layerConfig`. */
  static readonly layerWithPolicy = (
    allows: NonNullable<Access["Service"]["allows"]>
  ): Layer.Layer<Access, never, Access> =>
    Layer.effect(
      Access,
      Effect.map(Access, (access) => Access.of({ ...access, allows }))
    )

  /**
   * Asks the policy again for the connections that a change concerns, in every process, and closes with 4403 those that may
   * not `Receive` any more. In this process, nothing is sent on these connections from now until the answer. Completes when
   * this process has decided, and the other processes can no longer miss the change; they decide within a second.
   */
  static readonly changed = (change: AccessChange): Effect.Effect<void, StorageUnavailable, AccessChanges> =>
    AccessChanges.use(({ changed }) => changed(change))
}
