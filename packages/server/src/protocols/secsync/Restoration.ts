/**
 * Getting an evicted document back: one connection that still has all of it is asked for a snapshot, never two, and
 * never one that has nothing, or its emptiness would become the document.
 */
import type { SnapshotId } from "../../domain/Ids.ts"

/** A connection, as one that may be asked. */
export interface Holder {
  /** The snapshot whose complete state its client holds, with every update that was stored. */
  readonly holds: () => SnapshotId | undefined
  /** Asks for a snapshot. */
  readonly ask: () => void
}

export interface Restoration {
  readonly join: (holder: Holder) => void
  /** Asks another holder when the one that was asked goes away. */
  readonly leave: (holder: Holder) => void
  /** The document was evicted when this snapshot was active. */
  readonly evicted: (snapshotId: SnapshotId) => void
  /** A connection that came to hold what is missing, or that is about to send it anyhow. */
  readonly offer: (holder: Holder, options: { readonly asked: boolean }) => void
  readonly restored: () => void
}

export const makeRestoration = (): Restoration => {
  const holders = new Set<Holder>()
  let missing: SnapshotId | undefined
  let asked: Holder | undefined

  const askOne = () => {
    if (missing === undefined || asked !== undefined) return
    for (const holder of holders) {
      if (holder.holds() !== missing) continue
      asked = holder
      holder.ask()
      return
    }
  }

  return {
    join: (holder) => void holders.add(holder),
    leave: (holder) => {
      holders.delete(holder)
      if (asked !== holder) return
      asked = undefined
      askOne()
    },
    evicted: (snapshotId) => {
      if (missing === snapshotId) return
      missing = snapshotId
      asked = undefined
      askOne()
    },
    offer: (holder, options) => {
      if (options.asked) asked ??= holder
      else askOne()
    },
    restored: () => {
      missing = undefined
      asked = undefined
    }
  }
}
