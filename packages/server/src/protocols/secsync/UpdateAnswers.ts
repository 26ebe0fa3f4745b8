/**
 * What the author of an update is answered. The client takes back everything it has in flight at any refusal, whichever
 * update that was about; why that matters is told in docs/decisions/0002-answers-to-refused-updates.md.
 */
import type { PublicKey, SnapshotId } from "../../domain/Ids.ts"
import type { DocumentRefusal } from "../../domain/Secsync.ts"
import type { Outcome } from "../../RoomProtocol.ts"
import { CloseCode, type Connection } from "../Connection.ts"
import type { DocumentRoom } from "./DocumentRooms.ts"
import type { Holder } from "./Restoration.ts"
import { type UpdateMessage, updateSaved, updateSaveFailed, updateSuperseded } from "./Wire.ts"

export interface UpdateAnswers {
  readonly answer: (message: UpdateMessage, outcome: Outcome<DocumentRefusal>, holder: Holder) => void
  /** Refuses an update, real or not, by asking for a snapshot; only once for each snapshot that is to be replaced. */
  readonly requireSnapshot: (snapshotId: string, clock: number) => void
  /** Whether the client was asked to replace this snapshot. */
  readonly wasAskedToReplace: (snapshotId: SnapshotId) => boolean
  /**
   * Whether the client may have more than one snapshot on its way: it was asked for one, perhaps while it was sending
   * another, and no update has shown since that it knows the active one.
   */
  readonly mayHaveSeveral: () => boolean
  /** A snapshot was stored: what was asked for before is done. */
  readonly snapshotStored: () => void
}

export const makeUpdateAnswers = (room: DocumentRoom, connection: Connection): UpdateAnswers => {
  /** The snapshot that the client was last told to replace; "" when there was none. */
  let askedToReplace: SnapshotId | "" | undefined
  /** The last update refused, while those that its author sent after it may still come. */
  let refused: { readonly refSnapshotId: SnapshotId; readonly pubKey: PublicKey; readonly clock: number } | undefined

  /** The snapshot of the last update that was stored for this connection. */
  let storedFor: SnapshotId | undefined

  /** Since the client was asked for a snapshot, until an update shows that it knows the active one. */
  let mayHaveSeveral = false

  const requireSnapshot = (snapshotId: string, clock: number): void => {
    const active = room.state().active?.snapshotId ?? ""
    mayHaveSeveral = true
    connection.send(updateSaveFailed(snapshotId, clock, askedToReplace !== active))
    askedToReplace = active
  }

  const refuse = ({ refSnapshotId, pubKey, clock }: UpdateMessage): void => {
    const continues =
      refused?.refSnapshotId === refSnapshotId && refused.pubKey === pubKey && refused.clock + 1 === clock
    refused = { refSnapshotId, pubKey, clock }
    connection.send(continues ? updateSuperseded(refSnapshotId, clock) : updateSaveFailed(refSnapshotId, clock, false))
  }

  const saved = ({ refSnapshotId, clock }: UpdateMessage): void => {
    storedFor = refSnapshotId
    connection.send(updateSaved(refSnapshotId, clock))
  }

  return {
    answer: (message, outcome, holder) => {
      const { refSnapshotId, clock } = message
      if (outcome._tag === "Unavailable") {
        connection.send(updateSaveFailed(refSnapshotId, clock, false))
        return connection.close(CloseCode.tryAgainLater, "the storage is not available")
      }
      if (outcome._tag === "Stored") {
        mayHaveSeveral = false
        return saved(message)
      }
      switch (outcome.refusal._tag) {
        case "AlreadyStored":
          return saved(message)
        case "NoSnapshot":
          room.local.restoration.wasAsked(holder)
          return requireSnapshot(refSnapshotId, clock)
        case "ClockTaken":
          // A client that came back begins at 0 again and finds its clock when it is refused. Its list of what is in
          // flight can only be wrong once an update of this connection was stored.
          return storedFor === refSnapshotId ? requireSnapshot(refSnapshotId, clock) : refuse(message)
        case "SnapshotDue":
          return requireSnapshot(refSnapshotId, clock)
        default:
          return refuse(message)
      }
    },
    requireSnapshot,
    mayHaveSeveral: () => mayHaveSeveral,
    wasAskedToReplace: (snapshotId) => askedToReplace === snapshotId,
    snapshotStored: () => {
      askedToReplace = undefined
    }
  }
}
