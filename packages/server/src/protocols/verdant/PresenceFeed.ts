/** Sends one client the presence of the other users of its library. */
import { Effect } from "effect"
import type { Message } from "./Message.ts"
import type { Presence, PresenceChange, Present } from "./Presence.ts"
import * as Wire from "./Wire.ts"

export interface PresenceFeedServices {
  /** The user's profile, as JSON for peers. */
  readonly profileOf: (userId: string) => Effect.Effect<unknown>
  readonly run: (effect: Effect.Effect<void>) => void
}

export class PresenceFeed {
  private readonly services: PresenceFeedServices
  private readonly presence: Presence
  private readonly send: (message: Message) => void
  /** The presence that the answer to the client's sync holds. */
  private gathered: ReadonlySet<Present> = new Set()

  constructor(services: PresenceFeedServices, presence: Presence, send: (message: Message) => void) {
    this.services = services
    this.presence = presence
    this.send = send
  }

  /** All users who are present, by id, for the answer to a sync. `own`: the client's, if its peers do not see that yet. */
  gather(own: Present | undefined): Effect.Effect<Readonly<Record<string, Wire.UserInfo>>> {
    return Effect.suspend(() => {
      this.gathered = new Set([...this.presence.all(), ...(own === undefined ? [] : [own])])
      const infos = Effect.forEach(this.gathered, (present) => this.withProfile(present))
      return Effect.map(infos, (infos) => Object.fromEntries(infos.map((info) => [info.id, info])))
    })
  }

  tell(change: PresenceChange): void {
    if (change._tag === "Offline") return this.send(Wire.presenceOffline(change.userId, change.replicaId))
    this.services.run(Effect.map(this.withProfile(change.present), (info) => this.send(Wire.presenceChanged(info))))
  }

  /**
   * Sends who came and left since `gather`. A client takes the answer to its sync for the whole truth, and may process it
   * after messages that were sent a little later.
   */
  correct(): void {
    const now = this.presence.all()
    const here = new Set(now.map(({ userId }) => userId))
    for (const present of now) if (!this.gathered.has(present)) this.tell({ _tag: "Changed", present })
    for (const { replicaId, userId } of this.gathered) {
      if (!here.has(userId)) this.tell({ _tag: "Offline", userId, replicaId })
    }
  }

  private withProfile(present: Present): Effect.Effect<Wire.UserInfo> {
    const { internal, presence, replicaId, userId } = present
    return Effect.map(this.services.profileOf(userId), (profile) => ({
      ...{ id: userId, replicaId, profile, presence, internal }
    }))
  }
}
