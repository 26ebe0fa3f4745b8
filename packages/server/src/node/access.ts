/** Access for an app without Effect: signed tokens, or the app's own sessions, and the app's policy beside them. */
import { Cause, Duration, Effect, Exit, Layer, Redacted, Schema } from "effect"
import { type JwtAccessOptions, layer as layerTokens } from "../adapters/JwtAccess.ts"
import {
  Access,
  type AccessRequest,
  type Action,
  Grant,
  ReplicaType,
  type ReplicaTypeName,
  TokenRefused,
  type TokenRequest
} from "../ports/Access.ts"
import { libraryIdOf } from "./ids.ts"

/** Access by signed tokens: `mint` makes them, and the app gives them to its users. */
export interface TokenAccess extends Omit<JwtAccessOptions, "secrets" | "signingKey"> {
  /**
   * Secrets that verify tokens, at least 32 bytes each; the first one signs, so that secrets can be rotated. Left out: the
   * tokens of another issuer are verified by `jwks`.
   */
  readonly secret?: string | ReadonlyArray<string>
  /** The private key that signs tokens in place of a secret, as the text of a JSON Web Key. */
  readonly signingKey?: string
}

/** A client that connects, or sends a request. */
export interface SessionRequest extends AccessRequest {
  /**
   * The library that a Verdant client asks for, by the token that `mint` made. It is not verified: the client could name any
   * library, so check that the user is a member.
   */
  readonly libraryId: string | undefined
}

/** The rights of a client with a session of the app. */
export interface SessionGrant {
  /** 1 to 200 characters. */
  readonly userId: string
  readonly libraryId: string
  /** The Secsync documents that the session reaches. Default: all of the library. A Verdant client needs all. */
  readonly documents?: ReadonlyArray<string>
  /** The Secsync signing keys that the user may write with. Default: any. */
  readonly signingKeys?: ReadonlyArray<string>
  /** Verdant's replica type, which is also in the token that `mint` made. Default: `realtime`. */
  readonly type?: ReplicaTypeName
  /** Default: whether `type` is one that only reads. */
  readonly readOnly?: boolean
  /** The app's own word for the user's rights, at most 200 characters. Changes carry it. */
  readonly role?: string
  /** Whether the client is a backend that receives the changes of every user (`GET /changes`). Default: false. */
  readonly changes?: boolean
  /** The id of the session, for `accessChanged({ tokenId })` and `revoke({ tokenId })`, at most 200 characters. */
  readonly sessionId?: string
  /** When the session began. A user who is revoked can come back with a session that began later. Default: now. */
  readonly startedAt?: Date
  /** The connection is closed then. Default: it lasts until the client goes, or the app ends it. */
  readonly expiresAt?: Date
}

/** Returns the rights of a client by the app's own session; `undefined` or `null` refuses it. */
export type SessionAccess = (
  request: SessionRequest
) => SessionGrant | undefined | null | Promise<SessionGrant | undefined | null>

/** Decides whether a client may do something, within the rights of its token or session. */
export type Policy = (grant: Grant, action: Action) => boolean | Promise<boolean>

/** Time for an answer of the app's sessions. Later, the client is told to try again. */
const SESSION_TIMEOUT = "5 seconds"

export const layerAccess = (access: TokenAccess | SessionAccess, allows: Policy | undefined) => {
  const base = typeof access === "function" ? layerSessions(access) : layerTokens(tokenOptions(access))
  return allows === undefined ? base : Layer.provide(Access.layerWithPolicy(ask(allows)), base)
}

const tokenOptions = ({ secret, signingKey, ...options }: TokenAccess): JwtAccessOptions => ({
  ...options,
  secrets: secretsOf(secret),
  ...(signingKey === undefined ? {} : { signingKey: Redacted.make(signingKey) })
})

export const secretsOf = (secret: string | ReadonlyArray<string> | undefined) =>
  [secret ?? []].flat().map((text) => Redacted.make(text))

/** An answer that is there at once costs no fiber. */
const ask = (allows: Policy) => (grant: Grant, action: Action) => {
  const answer = allows(grant, action)
  return typeof answer === "boolean" ? Exit.succeed(answer) : Effect.tryPromise(() => answer)
}

// -------------------------------------------------------------------------------------------------------- sessions

const layerSessions = (sessions: SessionAccess) =>
  Layer.succeed(
    Access,
    Access.of({
      verify: () => refuse("malformed", "The app has sessions, and no tokens."),
      mint: (request) => Effect.sync(() => addressOf(request)),
      authenticate: (request) =>
        Effect.tryPromise(async () => sessions({ ...request, libraryId: libraryOf(request.token) })).pipe(
          Effect.timeout(SESSION_TIMEOUT),
          Effect.map((session) => session && grantOf(session)),
          Effect.catchCause((cause) =>
            Effect.andThen(
              Effect.logError("The app's sessions failed; the client is refused for now", Cause.pretty(cause)),
              refuse("unavailable", "The app's sessions gave no answer.")
            )
          ),
          Effect.flatMap((grant) =>
            grant ? Effect.succeed(grant) : refuse("signature", "The client has no session of the app.")
          )
        ),
      ended: (grant) => untilExpired(grant)
    })
  )

const refuse = (reason: TokenRefused["reason"], message: string) => Effect.fail(new TokenRefused({ reason, message }))

/** A timer takes at most 2^31 - 1 ms. Sleeping a day at a time also notices that the clock was set. */
const untilExpired = ({ expiresAt }: Grant): Effect.Effect<void> =>
  Effect.suspend(() => {
    const left = expiresAt * 1000 - Date.now()
    if (left <= 0) return Effect.void
    return Effect.flatMap(Effect.sleep(Math.min(left, 86_400_000)), () => untilExpired({ expiresAt } as Grant))
  })

/** The last moment that a `Date` has, in seconds since 1970. */
const NEVER = 8_640_000_000_000

const decodeGrant = Schema.decodeUnknownSync(Grant)

/** Throws when the app's answer is no grant. */
const grantOf = (session: SessionGrant): Grant => {
  const type = session.type ?? "realtime"
  return decodeGrant({
    userId: session.userId,
    libraryId: session.libraryId,
    documents: session.documents,
    ...(session.signingKeys === undefined ? {} : { signingKeys: session.signingKeys }),
    readOnly: session.readOnly ?? type.startsWith("read-only"),
    replicaType: ReplicaType[type],
    ...(session.role === undefined ? {} : { role: session.role }),
    ...(session.changes === true ? { changes: true } : {}),
    expiresAt: session.expiresAt === undefined ? NEVER : session.expiresAt.getTime() / 1000,
    tokenId: session.sessionId,
    issuedAt: (session.startedAt?.getTime() ?? Date.now()) / 1000
  })
}

/**
 * A token without a signature, from which Verdant's client reads where the server is, and which library it syncs. The server
 * believes nothing of it.
 */
const addressOf = (request: TokenRequest): string => {
  const now = Math.floor(Date.now() / 1000)
  const claims = {
    sub: request.userId,
    lib: request.libraryId,
    type: ReplicaType[request.type ?? "realtime"],
    url: request.endpoint,
    file: request.fileEndpoint,
    role: request.role,
    iat: now,
    exp: now + Math.floor(Duration.toSeconds(request.expiresIn ?? Duration.days(1)))
  }
  const parts = [{ alg: "none", typ: "JWT" }, claims]
  return `${parts.map((part) => Buffer.from(JSON.stringify(part)).toString("base64url")).join(".")}.`
}

const libraryOf = (token: string): string | undefined => {
  try {
    return libraryIdOf(JSON.parse(Buffer.from(token.split(".")[1] ?? "", "base64url").toString())?.lib)
  } catch {
    return undefined
  }
}
