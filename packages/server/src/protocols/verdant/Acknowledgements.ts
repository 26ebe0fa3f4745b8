/**
 * Matches a client's acknowledgements to the events that its connection was sent. A client acknowledges by timestamps, in
 * order, or by the nonce of an answer.
 */
import type { ReplicaId } from "../../domain/verdant/Events.ts"
import { isOfPlausibleVersion } from "../../domain/verdant/model/Timestamp.ts"
import type { LibraryState } from "../../domain/verdant/State.ts"
import type { ReplicaProgress } from "./ReplicaProgress.ts"
import { answerOf } from "./Wire.ts"

/** Messages that a client may leave unacknowledged before older ones are forgotten. */
const MAX_OUTSTANDING = 10_000

/** An acknowledgement by the nonce of an answer, or by a timestamp. */
interface Acknowledgement {
  readonly nonce: string | undefined
  readonly timestamp: string | undefined
}

export class Acknowledgements {
  private readonly state: () => LibraryState
  private readonly progress: ReplicaProgress
  private replicaId: ReplicaId | undefined
  private outstanding: Array<{ readonly timestamp: string; readonly version: number }> = []
  private last = 0
  private cut: number | undefined
  private resetEnd: string | undefined
  /** The answer had content, and the client has acknowledged neither that nor anything after it. */
  private isAwaited = false

  constructor(state: () => LibraryState, progress: ReplicaProgress) {
    this.state = state
    this.progress = progress
  }

  /** Whether the client lacks an event of this version: it was answered, and the answer does not hold that. */
  lacks(version: number): boolean {
    return this.cut !== undefined && version > this.cut
  }

  /** Whether the client was reset and has not put the library in place of what it had. */
  get isResetPending(): boolean {
    return this.resetEnd !== undefined
  }

  /**
   * `resetEnd`: the client acknowledges with this timestamp once it is reset; undefined: the answer was not a reset.
   * `isAwaited`: the client acknowledges the answer by its nonce.
   */
  answered(
    replicaId: ReplicaId,
    version: number,
    { isAwaited, resetEnd }: { readonly resetEnd: string | undefined; readonly isAwaited: boolean }
  ): void {
    this.replicaId = replicaId
    this.cut = version
    this.resetEnd = resetEnd
    this.isAwaited = isAwaited
    this.outstanding = []
    this.last = version
  }

  /** The client was sent the event of this version, and acknowledges it with the timestamp. */
  sent(version: number, timestamp: string | undefined): void {
    this.last = version
    if (timestamp === undefined) return
    this.outstanding.push({ timestamp, version })
    if (this.outstanding.length > MAX_OUTSTANDING) this.outstanding.shift()
  }

  /** The event of this version holds nothing for the client, so the client has it along with everything before it. */
  skipped(version: number): void {
    this.last = version
    if (this.outstanding.length === 0 && !this.isAwaited) this.receiveUpTo(version)
  }

  /** The client left: it is sent nothing until its next sync is answered. */
  end(): void {
    this.cut = undefined
  }

  /** Whether a client acknowledges an answer with events that the state does not have. */
  isAhead({ nonce }: Acknowledgement): boolean {
    const { generation, version } = this.state()
    const answer = nonce === undefined ? undefined : answerOf(nonce)
    return answer !== undefined && answer.generation === generation && answer.version > version
  }

  /** Takes a client's acknowledgement. Returns the timestamp before which the replica promises to send nothing more. */
  acknowledge(replicaId: ReplicaId, { nonce, timestamp }: Acknowledgement, now: number): string | undefined {
    const { progress } = this
    const state = this.state()
    const replica = state.replicas.get(replicaId)
    if (replica === undefined) return
    progress.hear(replicaId, now)
    if (nonce !== undefined) {
      const answer = answerOf(nonce)
      if (answer === undefined || answer.generation !== state.generation || answer.version > state.version) return
      const { asOf, isReset, version } = answer
      progress.recall(state, replica, { asOf, isReset, at: now })
      progress.receive(state, replica, version)
      if (this.cut === undefined || version < this.cut) return
      this.isAwaited = false
      if (this.outstanding.length === 0) this.receiveUpTo(this.last)
    } else if (timestamp !== undefined) {
      if (this.resetEnd !== undefined && timestamp >= this.resetEnd) {
        this.resetEnd = undefined
        progress.settle(replicaId)
        if (this.cut !== undefined) progress.receive(state, replica, this.cut)
      }
      const version = this.acknowledgedBy(timestamp)
      if (version !== undefined) this.receiveUpTo(version)
      return isOfPlausibleVersion(timestamp, state.newest) ? timestamp : undefined
    }
  }

  /** The version up to which the client has what it was sent; undefined: the timestamp acknowledges nothing new. */
  private acknowledgedBy(timestamp: string): number | undefined {
    const found = this.outstanding.findIndex((sent) => sent.timestamp === timestamp)
    if (found === -1) return undefined
    this.outstanding.splice(0, found + 1)
    this.isAwaited = false
    const next = this.outstanding[0]
    return next === undefined ? this.last : next.version - 1
  }

  /** While even the reset has not arrived, later events may not have arrived either. */
  private receiveUpTo(version: number): void {
    const state = this.state()
    const replica = this.replicaId === undefined ? undefined : state.replicas.get(this.replicaId)
    if (replica === undefined || this.progress.receivedBy(state, replica) === null) return
    this.progress.receive(state, replica, version)
  }
}
