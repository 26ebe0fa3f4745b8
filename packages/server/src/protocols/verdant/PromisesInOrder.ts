/**
 * The promises of a connected replica, in the order of its messages. An acknowledgement with a timestamp promises that the replica
 * sends nothing older. Its operations that came before the acknowledgement may be older, and wait for their commit: the
 * promise holds once they are stored. Otherwise the watermark passes them, and they are refused for a reset.
 */
import type { ReplicaId } from "../../domain/verdant/Events.ts"

/** Promises that may wait. A promise that is dropped holds up the watermark until the next one, and no more. */
const MAX_HELD = 1000

interface Held {
  readonly replicaId: ReplicaId
  timestamp: string
  /** The operations messages before it. */
  readonly after: number
}

export class PromisesInOrder {
  private readonly promise: (replicaId: ReplicaId, timestamp: string) => void
  private begun = 0
  private ended = 0
  private held: Array<Held> = []

  constructor(promise: (replicaId: ReplicaId, timestamp: string) => void) {
    this.promise = promise
  }

  /** Operations are submitted. */
  begin(): void {
    this.begun += 1
  }

  /** The oldest operations in flight are answered. If they are not stored, the client sends them again: no promise holds. */
  end(isStored: boolean): void {
    this.ended += 1
    if (!isStored) this.held = []
    while (this.held[0] !== undefined && this.held[0].after <= this.ended) {
      const { replicaId, timestamp } = this.held.shift()!
      this.promise(replicaId, timestamp)
    }
  }

  /** The replica promises to send nothing before the timestamp. */
  make(replicaId: ReplicaId, timestamp: string): void {
    if (this.begun === this.ended) return this.promise(replicaId, timestamp)
    const last = this.held.at(-1)
    if (last?.after === this.begun && last.replicaId === replicaId) {
      if (timestamp > last.timestamp) last.timestamp = timestamp
    } else if (this.held.length < MAX_HELD) this.held.push({ replicaId, timestamp, after: this.begun })
  }
}
