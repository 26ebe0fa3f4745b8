/**
 * The users who are present in a library. A user has one presence, that of the last device that sent one, while any of the
 * user's devices is connected or polls. Each process knows its own users and broadcasts their presence to the others, which
 * forget a presence that is not repeated.
 */
import { Option, Schema } from "effect"
import type { ReplicaId } from "../../domain/verdant/Events.ts"

/** A user's presence, without the profile. */
export interface Present {
  readonly userId: string
  readonly replicaId: string
  readonly presence: unknown
  readonly internal: unknown
}

export type PresenceChange =
  | { readonly _tag: "Changed"; readonly present: Present }
  | { readonly _tag: "Offline"; readonly userId: string; readonly replicaId: string }

export interface PresenceListener {
  readonly tell: (change: PresenceChange) => void
  /** Called once if `tell` throws: the listener hears nothing more, and the others go on. It must not throw. */
  readonly fail: (defect: unknown) => void
}

interface Own {
  present: Present | undefined
  /** Ids of the user's open connections. */
  readonly connections: Set<string>
  /** A polling user counts as present until this time, milliseconds since 1970. */
  until: number
}

/** Users of one library whose presence a process keeps; further users are not shown to others. */
const MAX_USERS = 1000
/** Users of a process that was silent for longer count as gone. */
const SILENCE_MILLIS = 90_000
const REPEAT_MILLIS = 30_000

const Text = Schema.String.check(Schema.isMaxLength(200))
const PresenceMessage = Schema.fromJsonString(
  Schema.Union([
    Schema.Struct({ who: Schema.Literal(true) }),
    Schema.Struct({
      from: Text,
      present: Schema.Struct({ userId: Text, replicaId: Text, presence: Schema.Unknown, internal: Schema.Unknown })
    }),
    Schema.Struct({ from: Text, offline: Schema.Struct({ userId: Text, replicaId: Text }) })
  ])
)
const decodeMessage = Schema.decodeUnknownOption(PresenceMessage)

export class Presence {
  private readonly own = new Map<string, Own>()
  private readonly others = new Map<string, { readonly from: string; readonly present: Present; heard: number }>()
  private readonly listeners = new Set<PresenceListener>()
  /** By polling replica, the users that it was last sent, and their replicas. */
  private readonly sentTo = new Map<ReplicaId, ReadonlyMap<string, string>>()
  private readonly process: string
  private readonly now: () => number
  private tell: ((message: Uint8Array) => void) | undefined
  private repeatedAt = 0

  constructor(process: string, now: () => number) {
    this.process = process
    this.now = now
  }

  /** Connects it to other processes, and asks them for their users. */
  connect(tell: (message: Uint8Array) => void): void {
    if (this.tell !== undefined) return
    this.tell = tell
    tell(Buffer.from(JSON.stringify({ who: true })))
  }

  listen(listener: PresenceListener): () => void {
    this.listeners.add(listener)
    return () => void this.listeners.delete(listener)
  }

  /** The user is present while the connection is open, or, with polls, until a time. */
  arrive(userId: string, connection: string | { readonly until: number }): void {
    const own = this.own.get(userId) ?? { present: undefined, connections: new Set(), until: 0 }
    if (typeof connection === "string") own.connections.add(connection)
    else own.until = Math.max(own.until, connection.until)
    if (this.own.size < MAX_USERS) this.own.set(userId, own)
  }

  leave(userId: string, connection: string): void {
    const own = this.own.get(userId)
    if (own === undefined) return
    own.connections.delete(connection)
    this.expire(userId, own)
  }

  update(present: Present): void {
    const own = this.own.get(present.userId)
    if (own === undefined) return
    own.present = present
    this.say({ from: this.process, present })
    this.notify({ _tag: "Changed", present })
  }

  /** All users who are present, also those of other processes. */
  all(): ReadonlyArray<Present> {
    const all = new Map<string, Present>()
    for (const { present } of this.others.values()) all.set(present.userId, present)
    for (const { present } of this.own.values()) if (present !== undefined) all.set(present.userId, present)
    return Array.from(all.values())
  }

  /** The users who left since a polling replica was last sent who is present. */
  goneSince(replicaId: ReplicaId): ReadonlyArray<{ readonly userId: string; readonly replicaId: string }> {
    const now = new Map(this.all().map(({ userId, replicaId }) => [userId, replicaId]))
    const before = this.sentTo.get(replicaId)
    this.sentTo.delete(replicaId)
    this.sentTo.set(replicaId, now)
    if (this.sentTo.size > MAX_USERS) this.sentTo.delete(this.sentTo.keys().next().value!)
    return Array.from(before ?? [])
      .filter(([userId]) => !now.has(userId))
      .map(([userId, replicaId]) => ({ userId, replicaId }))
  }

  /** Called at intervals: removes users who were silent for too long, and repeats the own users' presence. */
  tick(): void {
    const now = this.now()
    for (const [userId, own] of this.own) this.expire(userId, own)
    for (const [name, { heard, present }] of this.others) {
      if (now - heard > SILENCE_MILLIS) this.removeOther(name, present)
    }
    if (now - this.repeatedAt > REPEAT_MILLIS) this.sayAll()
  }

  /** Whether `tick` has to be called: some user's leaving must be noticed. */
  isNeeded(): boolean {
    return this.own.size > 0 || this.others.size > 0
  }

  /** Takes a message of another process. */
  hear(message: Uint8Array): void {
    const decoded = Option.getOrUndefined(decodeMessage(Buffer.from(message).toString()))
    if (decoded === undefined) return
    if ("who" in decoded) return this.sayAll()
    if ("present" in decoded) {
      const name = `${decoded.from} ${decoded.present.userId}`
      const before = this.others.get(name)
      if (before === undefined && this.others.size >= MAX_USERS) return
      this.others.set(name, { from: decoded.from, present: decoded.present, heard: this.now() })
      if (JSON.stringify(before?.present) !== JSON.stringify(decoded.present)) {
        this.notify({ _tag: "Changed", present: decoded.present })
      }
    } else {
      const name = `${decoded.from} ${decoded.offline.userId}`
      const other = this.others.get(name)
      if (other !== undefined) this.removeOther(name, other.present)
    }
  }

  private expire(userId: string, own: Own): void {
    if (own.connections.size > 0 || own.until > this.now()) return
    this.own.delete(userId)
    if (own.present === undefined) return
    const { replicaId } = own.present
    this.say({ from: this.process, offline: { userId, replicaId } })
    this.notifyOffline(userId, replicaId)
  }

  private removeOther(name: string, { replicaId, userId }: Present): void {
    this.others.delete(name)
    this.notifyOffline(userId, replicaId)
  }

  private notifyOffline(userId: string, replicaId: string): void {
    if (this.all().some((present) => present.userId === userId)) return
    this.notify({ _tag: "Offline", userId, replicaId })
  }

  private sayAll(): void {
    this.repeatedAt = this.now()
    for (const { present } of this.own.values()) if (present !== undefined) this.say({ from: this.process, present })
  }

  private say(message: object): void {
    this.tell?.(Buffer.from(JSON.stringify(message)))
  }

  private notify(change: PresenceChange): void {
    for (const listener of Array.from(this.listeners)) {
      try {
        listener.tell(change)
      } catch (defect) {
        this.listeners.delete(listener)
        listener.fail(defect)
      }
    }
  }
}
