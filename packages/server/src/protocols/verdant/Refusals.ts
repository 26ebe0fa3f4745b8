/** Refuses parts of a client's messages, and ends the connection or poll that brings too many of them. */
import { type BucketLimits, TokenBucket } from "../../internal/TokenBucket.ts"
import * as Metrics from "../../metrics/Metrics.ts"
import type { Grant } from "../../ports/Access.ts"
import { CloseCode } from "../Connection.ts"
import type { Client } from "./Client.ts"
import type { PollRefusals } from "./PollRefusals.ts"
import * as Wire from "./Wire.ts"

/**
 * Messages of one connection, or of all polls of a user, that are answered with `forbidden`. Above it a connection is closed with
 * 1008. The client of a user who types without the right to sends ten a second at most. It is never closed: it would come back
 * at once.
 */
export const REFUSAL_LIMITS: BucketLimits = { perSecond: 10, burst: 1000 }

export interface RefusalServices {
  /** Milliseconds since 1970. */
  readonly now: () => number
  readonly pollRefusals: PollRefusals
}

export class Refusals {
  private readonly services: RefusalServices
  private readonly client: Client
  private readonly grant: Grant
  private readonly ofConnection: TokenBucket

  constructor(services: RefusalServices, client: Client, grant: Grant) {
    this.services = services
    this.client = client
    this.grant = grant
    this.ofConnection = new TokenBucket(REFUSAL_LIMITS, services.now())
  }

  /** Tells the client that the server does not take a part of its message. */
  forbid(): void {
    const { client, grant, ofConnection, services } = this
    client.send(Wire.forbidden)
    const now = services.now()
    if (client.isRealtime) {
      if (!ofConnection.take(now)) client.close(CloseCode.policy, "too many refused messages")
    } else if (!services.pollRefusals.take(grant, now)) {
      // Not with a status of 4xx, after which the store (5.5) never polls again.
      client.close(CloseCode.tryAgainLater, "too many refused messages")
    }
  }
}

export const countRefused = (rule: string): void => Metrics.refusals.at({ protocol: "verdant", rule }).add()

/** Tells the client that it has no access to the library, and closes its connection. */
export const refuseLibrary = (client: Client): void => {
  client.send(Wire.forbidden)
  client.close(CloseCode.forbidden, "not allowed")
}

export const refuseDeleted = (client: Client): void => {
  client.send(Wire.forbidden)
  client.close(CloseCode.notFound, "the library was deleted")
}
