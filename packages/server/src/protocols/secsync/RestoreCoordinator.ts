/**
 * Restores an evicted document from its connected clients. It asks one client that still has the whole document for a
 * snapshot, and not two at once. A client without the document is never asked: its empty state would become the document.
 */
import { Effect } from "effect"
import type { SnapshotId } from "../../domain/Ids.ts"
import { withPatience } from "../../internal/timeouts.ts"

/** A connection that may be asked for a snapshot. */
export interface Holder {
  /** The snapshot whose complete state the client has, or will have once it has taken everything that it is sent. */
  readonly holds: () => SnapshotId | undefined
  /** Whether the client was sent everything. */
  readonly isReady: () => boolean
  /** Asks the client for a snapshot. */
  readonly ask: () => void
}

export interface RestoreCoordinator {
  readonly join: (holder: Holder) => void
  /** If this holder was asked, asks another one. */
  readonly leave: (holder: Holder) => void
  /** The document was evicted while this snapshot was active. */
  readonly evicted: (snapshotId: SnapshotId) => void
  /** A holder may have become ready: asks one if none was asked. */
  readonly offer: () => void
  /** This connection was asked for a snapshot already, by the refusal of one of its updates. */
  readonly wasAsked: (holder: Holder) => void
  readonly restored: () => void
  /** Waits while another connection than this one is expected to restore the document, at most 5 seconds. */
  readonly awaitOthers: (from: Holder) => Effect.Effect<void>
}

/** How often a waiting connection checks whether the document is restored. */
const CHECK_INTERVAL = "20 millis"
/** A holder that takes longer may be asleep, and is not waited for. */
const PATIENCE = "5 seconds"

/** @param evicted the snapshot that was active at the eviction, if the document is evicted now */
export const makeRestoreCoordinator = (evicted: SnapshotId | undefined): RestoreCoordinator => {
  const holders = new Set<Holder>()
  let missing = evicted
  let asked: Holder | undefined

  const askOne = () => {
    if (missing === undefined || asked !== undefined) return
    for (const holder of holders) {
      if (holder.holds() !== missing || !holder.isReady()) continue
      asked = holder
      holder.ask()
      return
    }
  }

  const isExpected = (from: Holder) =>
    missing !== undefined && Array.from(holders).some((holder) => holder !== from && holder.holds() === missing)

  return {
    awaitOthers: (from) =>
      Effect.suspend(() => {
        if (!isExpected(from)) return Effect.void
        const restored = Effect.repeat(Effect.sleep(CHECK_INTERVAL), { while: () => isExpected(from) })
        return Effect.asVoid(withPatience(restored, PATIENCE))
      }),
    join: (holder) => void holders.add(holder),
    leave: (holder) => {
      holders.delete(holder)
      if (asked !== holder) return
      asked = undefined
      askOne()
    },
    evicted: (snapshotId) => {
      missing = snapshotId
      asked = undefined
      askOne()
    },
    offer: askOne,
    wasAsked: (holder) => {
      asked ??= holder
    },
    restored: () => {
      missing = undefined
      asked = undefined
    }
  }
}
