/**
 * A new token on an open connection, in both protocols: the client sends `{"type":"refresh-token","token":"…"}`, and goes on
 * with the rights and the expiry of that token. Unmodified clients never send it: they connect again with their next token.
 */
import { Clock, Effect } from "effect"
import { TokenBucket } from "../../internal/TokenBucket.ts"
import type { Access, Grant } from "../../ports/Access.ts"
import type { StorageUnavailable } from "../../ports/EventLog.ts"
import type { Connection } from "../../protocols/Connection.ts"
import { textFrame } from "../../protocols/Frame.ts"
import { type FrameText, type ProtocolSession, type Received, receive } from "../../protocols/ProtocolSession.ts"
import type { AdmissionControl } from "../../rooms/AdmissionControl.ts"
import { verifyToken } from "../authenticate.ts"

/**
 * The grant of a connection. The session, the gate of the policy and the admission all have the same object, so that a
 * new token changes it for all of them at once.
 */
export class HeldGrant {
  readonly grant: Grant
  /** The number of tokens that replaced the first one. */
  replacements = 0

  constructor(grant: Grant) {
    this.grant = { ...grant }
  }

  replace(grant: Grant): void {
    Object.assign(this.grant, grant)
    this.replacements += 1
  }
}

export interface RefreshServices {
  readonly access: Access["Service"]
  readonly admission: AdmissionControl["Service"]
}

export interface RefreshedConnection {
  readonly connection: Connection
  readonly held: HeldGrant
  /** Why a token does not fit this connection, though it is of the same user and library; undefined: it does. */
  readonly mismatchOf: (grant: Grant) => string | undefined
  /** Called with the new grant in place: the time of its end, and what it allows, are to be looked at again. */
  readonly replaced: () => Effect.Effect<void>
}

/** Refreshes of one connection. Each reads the administrative streams. */
const LIMITS = { perSecond: 0.2, burst: 10 }

/** A message that `JSON.stringify` has made, or one like it: the type comes first. Other messages fail at their first field. */
const REFRESH = /^\s*\{\s*"type"\s*:\s*"refresh-token"/

export class RefreshableSession implements ProtocolSession {
  private readonly session: ProtocolSession
  private readonly services: RefreshServices
  private readonly target: RefreshedConnection
  /** Undefined until the first refresh, because most connections have none. */
  private bucket: TokenBucket | undefined

  constructor(session: ProtocolSession, services: RefreshServices, target: RefreshedConnection) {
    this.session = session
    this.services = services
    this.target = target
  }

  get answered(): Effect.Effect<void> {
    return this.session.answered
  }

  get brought(): Effect.Effect<boolean> {
    return this.session.brought
  }

  receive(texts: ReadonlyArray<FrameText>, done: Received): void {
    if (!texts.some(isRefresh)) return this.session.receive(texts, done)
    const each = (text: FrameText) => {
      if (this.target.connection.isSentAway()) return Effect.void
      return isRefresh(text) ? this.refresh(text) : receive(this.session, [text])
    }
    done(Effect.forEach(texts, each, { discard: true }))
  }

  private refresh(text: string): Effect.Effect<void, StorageUnavailable> {
    return Effect.gen({ self: this }, function* () {
      const now = yield* Clock.currentTimeMillis
      this.bucket ??= new TokenBucket(LIMITS, now)
      if (!this.bucket.take(now)) return this.refuse("too many refreshes; try again later")
      const token = tokenIn(text)
      if (token === undefined) return this.refuse("the message holds no token")
      yield* this.replaceBy(token).pipe(
        Effect.scoped,
        Effect.catchTags({
          TokenRefused: ({ message }) => Effect.sync(() => this.refuse(message)),
          GrantEnded: ({ reason }) => Effect.sync(() => this.refuse(`the token does not hold: ${reason}`))
        })
      )
    })
  }

  private replaceBy(token: string) {
    return Effect.gen({ self: this }, function* () {
      const { access, admission } = this.services
      const { connection, held, mismatchOf, replaced } = this.target
      const grant = yield* verifyToken(access, token)
      const isSame = grant.userId === held.grant.userId && grant.libraryId === held.grant.libraryId
      const mismatch = isSame ? mismatchOf(grant) : "the token is of another user or library"
      if (mismatch !== undefined) return this.refuse(mismatch)
      yield* admission.admit(grant, () => {})
      if (connection.isSentAway()) return
      held.replace(grant)
      yield* replaced()
      this.send({ type: "token-refreshed", expiresAt: grant.expiresAt })
    })
  }

  /** The connection goes on with the token that it has. */
  private refuse(reason: string): void {
    this.send({ type: "token-refused", reason })
  }

  private send(message: object): void {
    this.target.connection.send(textFrame([JSON.stringify(message)]))
  }
}

const isRefresh = (text: FrameText): text is string => typeof text === "string" && REFRESH.test(text)

const tokenIn = (text: string): string | undefined => {
  try {
    const { token } = JSON.parse(text)
    return typeof token === "string" ? token : undefined
  } catch {
    return undefined
  }
}
