/** The presence of the client's own user, which its peers see once the client has the answer to its first sync. */
import type { Client } from "./Client.ts"
import type { Presence, Present } from "./Presence.ts"

export class OwnPresence {
  private readonly presence: Presence
  private readonly client: Client
  private readonly userId: string
  private waiting: { readonly present: Present; readonly arrival: number } | undefined
  /** A sync of the client will be answered, and none was: its peers must not act on its presence before it has the answer. */
  private isNew: boolean

  constructor(presence: Presence, client: Client, userId: string) {
    this.presence = presence
    this.client = client
    this.userId = userId
    this.isNew = client.isRealtime
  }

  /**
   * The presence that waits, and that peers do not see yet; undefined if they see a newer one already: requests of a polling client
   * overtake each other, and its user has other devices.
   */
  get held(): Present | undefined {
    const { presence, userId, waiting } = this
    return waiting !== undefined && waiting.arrival > presence.arrivalOf(userId) ? waiting.present : undefined
  }

  /** Whether a poll brings a sync: if not, its presence is seen at once. */
  expect(isSync: boolean): void {
    this.isNew = isSync
  }

  /** The user is there while the client is connected, or until a time if it polls. Milliseconds since 1970. */
  arrive(until: number): void {
    const { client } = this
    this.presence.arrive(this.userId, client.isRealtime ? client.id : { until })
  }

  update(own: Omit<Present, "userId">): void {
    const present = { userId: this.userId, ...own }
    if (!this.isNew) return this.presence.update(present)
    this.waiting = { present, arrival: this.presence.arrived() }
  }

  /** From now on the client's peers see its user's presence. A user who has left brings none. */
  show(hasLeft: boolean): void {
    const { waiting } = this
    this.isNew = false
    this.waiting = undefined
    if (waiting !== undefined && !hasLeft) this.presence.update(waiting.present, waiting.arrival)
  }

  leave(): void {
    this.presence.leave(this.userId, this.client.id)
  }
}
