/**
 * The users who are present in a library. A user has one presence, that of the last device that sent one, while any of the
 * user's devices is connected or polls. Each process knows its own users and broadcasts their presence to the others, which
 * forget a presence that is not repeated. A user who sends presences faster than they are passed on is seen with the newest.
 */
import { Option, Schema } from "effect"
import type { ReplicaId } from "../../domain/verdant/Events.ts"
import * as Metrics from "../../metrics/Metrics.ts"

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
  /** When `present` arrived: the number that `arrived` gave. */
  arrival: number
  /** Ids of the user's open connections. */
  readonly connections: Set<string>
  /** A polling user counts as present until this time, milliseconds since 1970. */
  until: number
  /** When the user's presence was last passed on, milliseconds since 1970. */
  passedOnAt: number
  /** A newer presence than that waits to be passed on. */
  isWaiting: boolean
}

export interface PresenceServices {
  /** Names this process to others. */
  readonly process: string
  /** Milliseconds since 1970. */
  readonly now: () => number
  /** Calls `then` after so many milliseconds. */
  readonly later: (millis: number, then: () => void) => void
}

/** Users of one library whose presence a process keeps; further users are not shown to others. */
const MAX_USERS = 1000
/** Users of a process that was silent for longer count as gone. */
const SILENCE_MILLIS = 90_000
const REPEAT_MILLIS = 30_000
/** Milliseconds at least between two presences of a user that are passed on. Verdant's client sends five a second. */
const INTERVAL_MILLIS = 50
/** Messages that a user's presences cause at most in each millisecond: in a library with many clients, they are rarer. */
const MESSAGES_PER_MILLI = 2

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
const droppedForRate = Metrics.messagesDropped.at({ cause: "presence_rate" })

const decodeMessage = Schema.decodeUnknownOption(PresenceMessage)

export class Presence {
  private readonly own = new Map<string, Own>()
  private readonly others = new Map<string, { readonly from: string; readonly present: Present; heard: number }>()
  private readonly listeners = new Set<PresenceListener>()
  /** By polling replica, the users that it was last sent, and their replicas. */
  private readonly sentTo = new Map<ReplicaId, ReadonlyMap<string, string>>()
  private readonly services: PresenceServices
  private tell: ((message: Uint8Array) => void) | undefined
  private repeatedAt = 0
  private arrivals = 0

  constructor(services: PresenceServices) {
    this.services = services
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
    const own = this.own.get(userId) ?? makeOwn()
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

  /** Counts a presence that has arrived: a newer one has a larger number. */
  arrived(): number {
    this.arrivals += 1
    return this.arrivals
  }

  /** A presence that arrived before the user's present one, and waited, does not replace it. */
  update(present: Present, arrival = this.arrived()): void {
    const own = this.own.get(present.userId)
    if (own === undefined || arrival < own.arrival) return
    own.present = present
    own.arrival = arrival
    if (own.isWaiting) return droppedForRate.add()
    const wait = own.passedOnAt + this.interval - this.services.now()
    if (wait <= 0) return this.passOn(own, present)
    own.isWaiting = true
    this.services.later(wait, () => {
      own.isWaiting = false
      if (this.own.get(present.userId) === own && own.present !== undefined) this.passOn(own, own.present)
    })
  }

  /** When the presence arrived that a user has in this process; 0: it has none. */
  arrivalOf(userId: string): number {
    return this.own.get(userId)?.arrival ?? 0
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
    const now = this.services.now()
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
      this.others.set(name, { from: decoded.from, present: decoded.present, heard: this.services.now() })
      if (JSON.stringify(before?.present) !== JSON.stringify(decoded.present)) {
        this.notify({ _tag: "Changed", present: decoded.present })
      }
    } else {
      const name = `${decoded.from} ${decoded.offline.userId}`
      const other = this.others.get(name)
      if (other !== undefined) this.removeOther(name, other.present)
    }
  }

  private get interval(): number {
    return Math.max(INTERVAL_MILLIS, this.listeners.size / MESSAGES_PER_MILLI)
  }

  private passOn(own: Own, present: Present): void {
    own.passedOnAt = this.services.now()
    this.say({ from: this.services.process, present })
    this.notify({ _tag: "Changed", present })
  }

  private expire(userId: string, own: Own): void {
    if (own.connections.size > 0 || own.until > this.services.now()) return
    this.own.delete(userId)
    if (own.present === undefined) return
    const { replicaId } = own.present
    this.say({ from: this.services.process, offline: { userId, replicaId } })
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
    this.repeatedAt = this.services.now()
    for (const { present } of this.own.values())
      if (present !== undefined) this.say({ from: this.services.process, present })
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

const makeOwn = (): Own => ({
  ...{ present: undefined, arrival: 0, connections: new Set(), until: 0 },
  ...{ passedOnAt: Number.NEGATIVE_INFINITY, isWaiting: false }
})
