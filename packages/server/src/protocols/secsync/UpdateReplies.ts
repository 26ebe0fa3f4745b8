/**
 * What the author of an update is answered. The client takes back everything it has in flight at any refusal, whichever
 * update that was about; why that matters is told in docs/decisions/0002-answers-to-refused-updates.md.
 */
import type { SnapshotId } from "../../domain/Ids.ts"
import type { DocumentRefusal } from "../../domain/secsync/Commands.ts"
import type { Outcome } from "../../rooms/RoomProtocol.ts"
import { CloseCode, type Connection } from "../Connection.ts"
import type { Holder } from "./RestoreCoordinator.ts"
import type { DocumentRoom } from "./Rooms.ts"
import { type UpdateMessage, updateSaved, updateSaveFailed, updateSuperseded } from "./Wire.ts"

export class UpdateReplies {
  private readonly room: DocumentRoom
  private readonly connection: Connection
  /** The snapshot that the client was last told to replace; "" when there was none. */
  private askedToReplace: SnapshotId | "" | undefined
  /** The last update refused, while those that its author sent after it may still come. */
  private refused: Pick<UpdateMessage, "refSnapshotId" | "pubKey" | "clock"> | undefined
  /** The last update that was stored for this connection. */
  private stored: Pick<UpdateMessage, "refSnapshotId" | "clock"> | undefined
  /** Since the client was asked for a snapshot, until an update shows that it knows the active one. */
  private several = false

  constructor(room: DocumentRoom, connection: Connection) {
    this.room = room
    this.connection = connection
  }

  answer(message: UpdateMessage, outcome: Outcome<DocumentRefusal>, holder: Holder): void {
    const { refSnapshotId, clock } = message
    if (outcome._tag === "Unavailable") {
      this.connection.send(updateSaveFailed(refSnapshotId, clock, false))
      return this.connection.close(CloseCode.tryAgainLater, "the storage is not available")
    }
    if (outcome._tag === "Stored") {
      this.several = false
      return this.saved(message)
    }
    switch (outcome.refusal._tag) {
      case "AlreadyStored":
        return this.saved(message)
      case "NoSnapshot":
        this.room.local.restoration.wasAsked(holder)
        return this.requireSnapshot(refSnapshotId, clock)
      case "ClockTaken":
      case "UpdateOutdated":
        // A client that came back begins at 0 again and finds its clock when it is refused. Its list of what is in
        // flight is wrong when an update of this connection was stored under this clock.
        return this.isTaken(message) ? this.requireSnapshot(refSnapshotId, clock) : this.refuse(message)
      case "SnapshotDue":
        return this.requireSnapshot(refSnapshotId, clock)
      default:
        return this.refuse(message)
    }
  }

  /** Refuses an update, real or not, by asking for a snapshot; only once for each snapshot that is to be replaced. */
  requireSnapshot(snapshotId: string, clock: number): void {
    const active = this.room.state().active?.snapshotId ?? ""
    this.several = true
    this.connection.send(updateSaveFailed(snapshotId, clock, this.askedToReplace !== active))
    this.askedToReplace = active
  }

  /** Whether the client was asked to replace this snapshot. */
  wasAskedToReplace(snapshotId: SnapshotId): boolean {
    return this.askedToReplace === snapshotId
  }

  /**
   * Whether the client may have more than one snapshot on its way: it was asked for one, perhaps while it was sending
   * another, and no update has shown since that it knows the active one.
   */
  mayHaveSeveral(): boolean {
    return this.several
  }

  /** A snapshot was stored: what was asked for before is done. */
  snapshotStored(): void {
    this.askedToReplace = undefined
  }

  private isTaken({ refSnapshotId, clock }: UpdateMessage): boolean {
    const { stored } = this
    return stored?.refSnapshotId === refSnapshotId && clock <= stored.clock
  }

  private saved({ refSnapshotId, clock }: UpdateMessage): void {
    this.stored = { refSnapshotId, clock }
    this.connection.send(updateSaved(refSnapshotId, clock))
  }

  private refuse({ refSnapshotId, pubKey, clock }: UpdateMessage): void {
    const continues =
      this.refused?.refSnapshotId === refSnapshotId &&
      this.refused.pubKey === pubKey &&
      this.refused.clock + 1 === clock
    this.refused = { refSnapshotId, pubKey, clock }
    const frame = continues ? updateSuperseded(refSnapshotId, clock) : updateSaveFailed(refSnapshotId, clock, false)
    this.connection.send(frame)
  }
}
