/**
 * Which sealed bytes no client can need any more. A client is only ever served from the newest snapshot on, so the
 * payloads of everything before it are superseded; what is kept of them is kept for people.
 */
import { EVICTED, type StreamEvent } from "../Stream.ts"

export interface PruningRule {
  /** The newest snapshots that keep their payloads and those of their updates, the active one included: 1 or more. */
  readonly keepSnapshots: number
  /** Milliseconds since 1970: what was recorded later keeps its payload. */
  readonly recordedUntil: number
}

/** Takes a stream's events in order. */
export interface Pruning {
  readonly see: (event: StreamEvent) => void
  /** Payloads of events with a smaller version may go; 0: none may. */
  readonly before: () => number
}

export const makePruning = ({ keepSnapshots, recordedUntil }: PruningRule): Pruning => {
  /** Versions of the newest snapshots of this generation, as many as are kept. */
  let snapshots: ReadonlyArray<number> = []
  let firstYoung = Number.POSITIVE_INFINITY
  return {
    see: (event) => {
      if (event.type === EVICTED) snapshots = []
      else if (event.checkpoint) snapshots = [...snapshots, event.version].slice(-keepSnapshots)
      if (event.recordedAt > recordedUntil) firstYoung = Math.min(firstYoung, event.version)
    },
    before: () => (snapshots.length < keepSnapshots ? 0 : Math.min(snapshots[0] ?? 0, firstYoung))
  }
}
