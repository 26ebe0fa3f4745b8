/** How a sync is answered: what the client misses, and up to which time its changes are acknowledged. Pure. */
import type { Steps } from "../../domain/Steps.ts"
import type { Sync } from "../../domain/verdant/Commands.ts"
import { missed, missedBaselines } from "../../domain/verdant/Missed.ts"
import {
  beforeAll,
  firstAt,
  latest,
  millisOf,
  rightAfter,
  type Timestamp
} from "../../domain/verdant/model/Timestamp.ts"
import type { LibraryState, Replica } from "../../domain/verdant/State.ts"
import { type Contents, everythingFor, lastTimestampOfAll, partsOf } from "./LibraryContent.ts"
import { nonceOf } from "./Wire.ts"

export interface SyncAnswer {
  readonly contents: Contents
  /** The contents replace what the client has. */
  readonly isReset: boolean
  readonly hasContent: boolean
  readonly ackedTimestamp: string | null
  /** The time that the client takes for its last sync once it has processed the answer. */
  readonly asOf: string
  /** The client will send nothing older; null: it promises nothing. */
  readonly promised: string | null
  /**
   * Undefined if it is later than the acknowledged time: a client whose clock is behind the others' may have older changes that it
   * has not sent. With the watermark, it would merge them into its own data, and never send them. It hears the next one.
   */
  readonly watermark: string | undefined
  /** The client acknowledges the answer with this. */
  readonly nonce: string | undefined
  /** Sent after the answer: the time that the client shall take for its last sync. */
  readonly syncedAs: string | undefined
  /** The client acknowledges a reset with this timestamp once it has stored it; undefined: no reset. */
  readonly resetEnd: string | undefined
}

/**
 * The answer to a replica's sync. It yields the large parts of the content as they are made.
 *
 * @param received the version up to which it has everything, or its join
 * @param isUntaken the library had no room for all that the client brought, so nothing of that is acknowledged
 * @param early the first operation that was not taken because its time is too far ahead; undefined: none
 */
export const syncAnswer = function* (
  state: LibraryState,
  command: Sync,
  replica: Replica,
  options: {
    readonly isReset: boolean
    readonly isUntaken: boolean
    readonly received: number
    readonly early: string | undefined
  }
): Steps<SyncAnswer, Uint8Array> {
  const { isReset, isUntaken, received } = options
  const contents = isReset
    ? yield* everythingFor(state, command.userId)
    : {
        operations: yield* partsOf(yield* missed(state, replica, received)),
        baselines: yield* partsOf(missedBaselines(state, replica, received))
      }
  const hasContent = isReset || contents.operations.length + contents.baselines.length > 0
  const joinedAsOf = isReset ? command.timestamp : replica.asOf
  const nothingAcked = command.since ?? beforeAll({ sameVersionAs: command.timestamp as Timestamp })
  const ackedTimestamp = isUntaken ? nothingAcked : ackedTimestampOf(command, joinedAsOf, options.early !== undefined)
  // A store (5.5, 3.6) that has never synced folds all operations that it gets, and an older one that comes later is never
  // seen in it. So while it takes the answer it is told that it has synced, at a time before everything. A connected client
  // with a nonce to answer would not hear that, so it gets none and acknowledges the last operation.
  const hasNeverSynced = command.since === null && isReset && contents.operations.length > 0
  const asOf = ackedTimestamp ?? command.timestamp
  const hasNonce = hasContent && (command.isPolling || !hasNeverSynced)
  const { watermark } = state
  return {
    ...{ contents, isReset, hasContent, ackedTimestamp },
    asOf,
    promised: command.isPolling || isUntaken ? ackedTimestamp : command.timestamp,
    watermark: watermark !== null && watermark <= asOf ? watermark : undefined,
    nonce: hasNonce ? nonceOf({ generation: state.generation, version: state.version, asOf, isReset }) : undefined,
    syncedAs: hasNeverSynced ? beforeAll({ sameVersionAs: command.timestamp as Timestamp }) : undefined,
    resetEnd: isReset ? ((yield* lastTimestampOfAll(state, command.userId)) ?? "") : undefined
  }
}

/**
 * The time that the client may take for its last sync: it sends later changes again.
 *
 * An acknowledged time never covers changes that the client has not sent. A sync that is made while a change is being
 * stored does not bring that change, though it is older. The client sends it right afterwards, in a message that may be
 * lost. So a connected client is acknowledged only up to what this sync brought. A polling client, whose requests overtake
 * each other, and a client that brings everything it has, also of others, is acknowledged up to its previous sync.
 *
 * `joinedAsOf`: the time of the replica's join or last reset, which is never taken back.
 */
const ackedTimestampOf = (
  { askedBefore, isPolling, operations, since, ...command }: Sync,
  joinedAsOf: string,
  hasEarly: boolean
): string | null => {
  const brought = operations[operations.length - 1]?.timestamp
  if (hasEarly) return latest([since, brought])
  const timestamp = command.timestamp as Timestamp
  if (since === null) {
    const storing = firstAt(millisOf(timestamp) - STORING_MILLIS, { sameVersionAs: timestamp })
    return latest([joinedAsOf, askedBefore ?? storing])
  }
  // Later than its last sync, because the next sync would otherwise not show whether it processed this answer.
  return latest([joinedAsOf, rightAfter(since as Timestamp, timestamp), isPolling ? askedBefore : brought])
}

/** Longer than a client takes to store a change of its user, in milliseconds. */
const STORING_MILLIS = 5000
