/** The right to the HTTP API of operators. `JwtAccess.layerAdmin` implements it with signed tokens. */
import { Context, type Effect } from "effect"
import type { TokenRefused } from "./Access.ts"

/** An operator, as a verified token names them. */
export interface Administrator {
  /** The claim `sub`. It is the `operator` of the events that the API writes. */
  readonly name: string
  /** The claim `jti`, by which the token can be revoked. */
  readonly tokenId: string | undefined
  /** Seconds since 1970. */
  readonly issuedAt: number | undefined
  readonly expiresAt: number
}

export class AdminAccess extends Context.Service<
  AdminAccess,
  {
    /** Checks a token's signature, claims and expiry. The token of a client is refused. */
    readonly verify: (token: string) => Effect.Effect<Administrator, TokenRefused>
  }
>()("@sealog/server/AdminAccess") {}
