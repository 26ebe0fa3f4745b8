/**
 * The access policy: verifies tokens and decides what a grant allows. `JwtAccess` implements it with signed tokens; an app
 * that has its own users supplies its own layer.
 */
import { Context, type Duration, type Effect, Schema } from "effect"
import { DocumentId, LibraryId, PublicKey, UserId } from "../domain/Ids.ts"

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
  /** Seconds since 1970. */
  expiresAt: Schema.Finite,
  /** The claim `jti`, by which a token can be revoked. */
  tokenId: Schema.UndefinedOr(Schema.String),
  /** Seconds since 1970, with fractions. A token without it counts as older than any revocation. */
  issuedAt: Schema.UndefinedOr(Schema.Finite)
})
export type Grant = typeof Grant.Type

/** Whether a grant allows Secsync messages that are signed with a key. */
export const maySignWith = ({ signingKeys }: Grant, pubKey: PublicKey): boolean =>
  signingKeys === undefined || signingKeys.includes(pubKey)

export type Action =
  | { readonly _tag: "Read"; readonly documentId: DocumentId }
  | {
      readonly _tag: "WriteSnapshot" | "WriteUpdate" | "SendEphemeralMessage"
      readonly documentId: DocumentId
      readonly pubKey: PublicKey
      /** A snapshot's `additionalServerData`, for this decision alone. It is neither stored nor sent. */
      readonly additionalServerData?: unknown
    }

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
}

export class Access extends Context.Service<
  Access,
  {
    /** Checks a token's signature, claims and expiry. */
    readonly verify: (token: string) => Effect.Effect<Grant, TokenRefused>
    readonly mint: (request: TokenRequest) => Effect.Effect<string>
    /** Decides whether a grant allows an action. Called for every connection and every message that writes or is relayed. */
    readonly allows: (grant: Grant, action: Action) => Effect.Effect<boolean>
    /** Completes when a grant ends. The server then closes its connections at once. */
    readonly ended: (grant: Grant) => Effect.Effect<void>
  }
>()("@sealog/server/Access") {}
