/**
 * The rule by which superseded payloads are pruned. The server sends clients only the newest snapshot and what follows it, so
 * that no client needs an older payload. An operator may keep some of them for people.
 */
import type { StreamEvent } from "../Stream.ts"

export interface PruningRule {
  /** The number of newest snapshots that keep their payloads and their updates' payloads: 1 (the active one) or more. */
  readonly keepSnapshots: number
  /** Milliseconds since 1970: an event that was recorded later keeps its payload. */
  readonly recordedUntil: number
}

/** Applies the rule to one stream's events, which it sees in their order. */
export interface Pruning {
  readonly see: (event: StreamEvent) => void
  /** The payloads of events with a smaller version may be pruned; 0: none. */
  readonly before: () => number
}

export const makePruning = ({ keepSnapshots, recordedUntil }: PruningRule): Pruning => {
  /** Versions of the newest snapshots of this generation, at most `keepSnapshots`. */
  let snapshots: ReadonlyArray<number> = []
  let firstYoung = Number.POSITIVE_INFINITY
  return {
    see: (event) => {
      if (event.type === "SnapshotStored") snapshots = [...snapshots, event.version].slice(-keepSnapshots)
      // An eviction or a deletion purged the payloads of the snapshots before it.
      else if (event.checkpoint) snapshots = []
      if (event.recordedAt > recordedUntil) firstYoung = Math.min(firstYoung, event.version)
    },
    before: () => (snapshots.length < keepSnapshots ? 0 : Math.min(snapshots[0] ?? 0, firstYoung))
  }
}
