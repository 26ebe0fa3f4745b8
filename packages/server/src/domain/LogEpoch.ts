/**
 * The identity of a log, and the restores from backups that it went through: events of the stream `@server/@log`. A mark is
 * a random name, because a log that is restored twice from one backup counts to the same number twice.
 */
import { Schema } from "effect"
import { Operator, Reason, serverAdministration } from "./Administration.ts"
import type { NewEvent, StreamEvent, StreamKey } from "./Stream.ts"

export const logEpochKey: StreamKey = { libraryId: serverAdministration.libraryId, streamId: "@log" }

export const isLogEpoch = ({ libraryId, streamId }: StreamKey): boolean =>
  libraryId === logEpochKey.libraryId && streamId === logEpochKey.streamId

const Mark = Schema.NonEmptyString.check(Schema.isMaxLength(64))

export const LogEpochEvent = Schema.Union([
  Schema.TaggedStruct("LogNamed", { logId: Mark }),
  /** The log was restored from a backup before this event: clients and servers may know more than it holds. */
  Schema.TaggedStruct("LogRestored", {
    mark: Mark,
    /** True: a server noticed it. False: an operator said so. */
    noticed: Schema.Boolean,
    /**
     * The log takes the place of another one, and holds all of it: nothing was lost, and this is the epoch that goes on. Older versions
     * ignore it, and begin an epoch.
     */
    takesOver: Schema.optionalKey(
      Schema.Struct({
        number: Schema.Int,
        restored: Schema.optionalKey(Schema.Struct({ mark: Mark, at: Schema.Finite, noticed: Schema.Boolean }))
      })
    ),
    operator: Schema.optionalKey(Operator),
    reason: Schema.optionalKey(Reason)
  }),
  /** From here on another log is copied into this one, and no server serves it. The next `LogRestored` promotes it. */
  Schema.TaggedStruct("LogStandsBy", {
    operator: Schema.optionalKey(Operator),
    reason: Schema.optionalKey(Reason)
  })
])
export type LogEpochEvent = typeof LogEpochEvent.Type

const decodeEvent = Schema.decodeUnknownSync(LogEpochEvent)

export const toNewEvent = (event: LogEpochEvent): NewEvent => {
  const { _tag, ...data } = decodeEvent(event)
  return { type: _tag, data, payloadHash: "", checkpoint: false }
}

export const fromStreamEvent = (event: StreamEvent): LogEpochEvent => decodeEvent({ ...event.data, _tag: event.type })

export interface Restore {
  readonly mark: string
  /** When it was marked, milliseconds since 1970. */
  readonly at: number
  /** A server noticed it; otherwise an operator said so. */
  readonly noticed: boolean
}

export interface LogEpoch {
  /** undefined: no server has named the log yet. */
  readonly logId: string | undefined
  /** 1, and one more for each restore that may have lost something. */
  readonly number: number
  /** The last restore; undefined: there was none. */
  readonly restored: Restore | undefined
  /** The log is a standby of another one: servers refuse it until it is promoted. */
  readonly isStandby: boolean
}

export const firstEpoch: LogEpoch = { logId: undefined, number: 1, restored: undefined, isStandby: false }

export const evolve = (epoch: LogEpoch, event: StreamEvent): LogEpoch => {
  const decoded = fromStreamEvent(event)
  if (decoded._tag === "LogNamed") return { ...epoch, logId: decoded.logId }
  if (decoded._tag === "LogStandsBy") return { ...epoch, isStandby: true }
  const { mark, noticed, takesOver } = decoded
  if (takesOver === undefined) {
    return { ...epoch, number: epoch.number + 1, restored: { mark, at: event.recordedAt, noticed }, isStandby: false }
  }
  const number = Math.max(epoch.number, takesOver.number)
  const isLater = (takesOver.restored?.at ?? 0) > (epoch.restored?.at ?? 0)
  return { ...epoch, number, restored: isLater ? takesOver.restored : epoch.restored, isStandby: false }
}

/** The epoch that a log's own events give. */
export const fold = (events: ReadonlyArray<{ readonly event: StreamEvent }>): LogEpoch =>
  events.reduce((epoch, { event }) => evolve(epoch, event), firstEpoch)
