/**
 * Who is there: one presence for a user, that of the device that spoke last, for as long as the user has a connection
 * somewhere or polls. Each process knows its own users, and tells the others of them; what is not repeated is forgotten.
 */
import { Option, Schema } from "effect"
import type { ReplicaId } from "../../domain/verdant/Events.ts"

/** A user's presence; whoever shows it adds the profile. */
export interface Present {
  readonly userId: string
  readonly replicaId: string
  readonly presence: unknown
  readonly internal: unknown
}

export type PresenceChange =
  | { readonly _tag: "Changed"; readonly present: Present }
  | { readonly _tag: "Offline"; readonly userId: string; readonly replicaId: string }

interface Own {
  present: Present | undefined
  /** Connections that are open. */
  readonly connections: Set<string>
  /** Until when one who polls is taken to be there, ms since 1970. */
  until: number
}

/** Users of one library that a process keeps the presence of; more are there without being seen. */
const MAX_USERS = 1000
/** After so long without a word from their process, its users are taken to have gone. */
const SILENCE_MILLIS = 90_000
const REPEAT_MILLIS = 30_000

const Text = Schema.String.check(Schema.isMaxLength(200))
const Told = Schema.fromJsonString(
  Schema.Union([
    Schema.Struct({ who: Schema.Literal(true) }),
    Schema.Struct({
      from: Text,
      present: Schema.Struct({ userId: Text, replicaId: Text, presence: Schema.Unknown, internal: Schema.Unknown })
    }),
    Schema.Struct({ from: Text, offline: Schema.Struct({ userId: Text, replicaId: Text }) })
  ])
)
const decodeTold = Schema.decodeUnknownOption(Told)

export class Presence {
  private readonly own = new Map<string, Own>()
  private readonly others = new Map<string, { readonly from: string; readonly present: Present; heard: number }>()
  private readonly listeners = new Set<(change: PresenceChange) => void>()
  /** Users that a replica that polls was told of. */
  private readonly told = new Map<ReplicaId, ReadonlyMap<string, string>>()
  private readonly process: string
  private readonly now: () => number
  private tell: ((message: Uint8Array) => void) | undefined
  private repeatedAt = 0

  constructor(process: string, now: () => number) {
    this.process = process
    this.now = now
  }

  /** From now on there is a way to other processes; they are asked who is there. */
  connect(tell: (message: Uint8Array) => void): void {
    if (this.tell !== undefined) return
    this.tell = tell
    tell(Buffer.from(JSON.stringify({ who: true })))
  }

  listen(listener: (change: PresenceChange) => void): () => void {
    this.listeners.add(listener)
    return () => void this.listeners.delete(listener)
  }

  /** A connection is open until it is said to have gone; one that polls is there for a while. */
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

  /** Everybody who is there. */
  all(): ReadonlyArray<Present> {
    const all = new Map<string, Present>()
    for (const { present } of this.others.values()) all.set(present.userId, present)
    for (const { present } of this.own.values()) if (present !== undefined) all.set(present.userId, present)
    return Array.from(all.values())
  }

  /** Who has gone since a replica that polls was last told who is there. */
  goneSince(replicaId: ReplicaId): ReadonlyArray<{ readonly userId: string; readonly replicaId: string }> {
    const now = new Map(this.all().map(({ userId, replicaId }) => [userId, replicaId]))
    const before = this.told.get(replicaId)
    this.told.delete(replicaId)
    this.told.set(replicaId, now)
    if (this.told.size > MAX_USERS) this.told.delete(this.told.keys().next().value!)
    return Array.from(before ?? [])
      .filter(([userId]) => !now.has(userId))
      .map(([userId, replicaId]) => ({ userId, replicaId }))
  }

  /** Called now and then: lets go who has not been heard of, and says again who is here. */
  tick(): void {
    const now = this.now()
    for (const [userId, own] of this.own) this.expire(userId, own)
    for (const [name, { heard, present }] of this.others) {
      if (now - heard > SILENCE_MILLIS) this.removeOther(name, present)
    }
    if (now - this.repeatedAt > REPEAT_MILLIS) this.sayAll()
  }

  /** Whether there is anybody whose going has to be noticed. */
  isNeeded(): boolean {
    return this.own.size > 0 || this.others.size > 0
  }

  /** What another process told. */
  hear(message: Uint8Array): void {
    const told = Option.getOrUndefined(decodeTold(Buffer.from(message).toString()))
    if (told === undefined) return
    if ("who" in told) return this.sayAll()
    if ("present" in told) {
      const name = `${told.from} ${told.present.userId}`
      const before = this.others.get(name)
      if (before === undefined && this.others.size >= MAX_USERS) return
      this.others.set(name, { from: told.from, present: told.present, heard: this.now() })
      if (JSON.stringify(before?.present) !== JSON.stringify(told.present)) {
        this.notify({ _tag: "Changed", present: told.present })
      }
    } else {
      const name = `${told.from} ${told.offline.userId}`
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
    for (const listener of this.listeners) listener(change)
  }
}
