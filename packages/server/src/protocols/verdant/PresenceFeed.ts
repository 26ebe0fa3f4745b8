/** Sends one client the presence of the other users of its library. */
import { Effect } from "effect"
import type { Message } from "./Message.ts"
import type { Presence, PresenceChange, Present } from "./Presence.ts"
import * as Wire from "./Wire.ts"

type Changed = Extract<PresenceChange, { readonly _tag: "Changed" }>

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
      // At the same time: an app that is slow is waited for once, and not once for each user.
      const infos = Effect.forEach(this.gathered, (present) => this.withProfile(present), { concurrency: "unbounded" })
      return Effect.map(infos, (infos) => Object.fromEntries(infos.map((info) => [info.id, info])))
    })
  }

  tell(change: PresenceChange): void {
    if (change._tag === "Offline") return this.send(Wire.presenceOffline(change.userId, change.replicaId))
    this.services.run(
      Effect.map(this.services.profileOf(change.present.userId), (profile) => this.send(messageOf(change, profile)))
    )
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
    return Effect.map(this.services.profileOf(present.userId), (profile) => userInfoOf(present, profile))
  }
}

const userInfoOf = ({ internal, presence, replicaId, userId }: Present, profile: unknown): Wire.UserInfo => ({
  ...{ id: userId, replicaId, profile, presence, internal }
})

/** The messages of changes, made once for all clients that are told the same change. */
const messages = new WeakMap<PresenceChange, { readonly profile: unknown; readonly message: Message }>()

const messageOf = (change: Changed, profile: unknown): Message => {
  const made = messages.get(change)
  if (made !== undefined && made.profile === profile) return made.message
  const message = Wire.presenceChanged(userInfoOf(change.present, profile))
  messages.set(change, { profile, message })
  return message
}
