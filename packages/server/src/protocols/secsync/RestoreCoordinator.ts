/**
 * Getting an evicted document back: one connection that still has all of it is asked for a snapshot, never two, and
 * never one that has nothing, or its emptiness would become the document.
 */
import { Effect } from "effect"
import type { SnapshotId } from "../../domain/Ids.ts"
import { withPatience } from "../../internal/timeouts.ts"

/** A connection, as one that may be asked. */
export interface Holder {
  /** The snapshot whose complete state its client holds, once it has been sent all that is on its way. */
  readonly holds: () => SnapshotId | undefined
  /** Whether it has been sent all. */
  readonly isReady: () => boolean
  /** Asks for a snapshot. */
  readonly ask: () => void
}

export interface RestoreCoordinator {
  readonly join: (holder: Holder) => void
  /** Asks another holder when the one that was asked goes away. */
  readonly leave: (holder: Holder) => void
  /** The document was evicted when this snapshot was active. */
  readonly evicted: (snapshotId: SnapshotId) => void
  /** A connection may have come to hold what is missing. */
  readonly offer: () => void
  /** A connection was asked already, in answer to a message of its own. */
  readonly wasAsked: (holder: Holder) => void
  readonly restored: () => void
  /** Waits while somebody else than this connection can be expected to restore the document. */
  readonly awaitOthers: (from: Holder) => Effect.Effect<void>
}

/** How often it is looked whether a restoration that was waited for has happened. */
const LOOK = "20 millis"
/** A holder that has not answered by then is not waited for: it may be asleep. */
const PATIENCE = "5 seconds"

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
      Effect.suspend(() =>
        isExpected(from)
          ? Effect.asVoid(withPatience(Effect.repeat(Effect.sleep(LOOK), { while: () => isExpected(from) }), PATIENCE))
          : Effect.void
      ),
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
