/**
 * Answers the author of an update. At any refusal, the client takes back all its updates in flight, whichever update the
 * refusal names, and sends their changes again as one update. So a burst is refused once, and an author whose count went
 * wrong is asked for a snapshot. Reasons: docs/decisions/0002-answers-to-refused-updates.md.
 */
import { Effect } from "effect"
import type { PublicKey, SnapshotId } from "../../domain/Ids.ts"
import type { DocumentRefusal } from "../../domain/secsync/Commands.ts"
import type { Outcome } from "../../rooms/RoomProtocol.ts"
import { CloseCode, type Connection } from "../Connection.ts"
import { owedMessage } from "./OwedSnapshots.ts"
import type { Holder } from "./RestoreCoordinator.ts"
import type { DocumentRoom } from "./Rooms.ts"
import { type UpdateMessage, updateSaved, updateSaveFailed, updateSuperseded } from "./Wire.ts"

interface RefusedUpdate extends Pick<UpdateMessage, "refSnapshotId" | "pubKey" | "clock"> {
  /**
   * The smallest clock above this update's under which its author may send the refused changes again. An update from this
   * clock on may be that one, and the client waits for its answer.
   */
  readonly sentAgainFrom: number
}

export class UpdateReplies {
  private readonly room: DocumentRoom
  private readonly connection: Connection
  /** The snapshot that the client was last asked to replace; "" if none was active. */
  private askedToReplace: SnapshotId | "" | undefined
  /** The last refused update: updates that its author sent behind it may still arrive. */
  private refused: RefusedUpdate | undefined
  /** The last update of this connection that was acknowledged. */
  private acknowledged: Pick<UpdateMessage, "refSnapshotId" | "clock"> | undefined
  private severalSnapshots = false
  /** The author that was last asked for a snapshot. */
  private asked: PublicKey | undefined

  constructor(room: DocumentRoom, connection: Connection) {
    this.room = room
    this.connection = connection
  }

  /** Sends the answer to an update. `holder` is this connection, which may restore an evicted document. */
  answer(message: UpdateMessage, outcome: Outcome<DocumentRefusal>, holder: Holder): void {
    const { refSnapshotId, clock } = message
    if (outcome._tag === "Unavailable") {
      this.connection.send(updateSaveFailed(refSnapshotId, clock, false))
      return this.connection.close(CloseCode.tryAgainLater, "the storage is not available")
    }
    if (outcome._tag === "Failed") return this.connection.close(CloseCode.internalError, "internal error")
    if (outcome._tag === "Stored") {
      this.severalSnapshots = false
      return this.acknowledge(message)
    }
    switch (outcome.refusal._tag) {
      case "AlreadyStored":
        return this.acknowledge(message)
      case "NoSnapshot":
        this.room.local.restoreCoordinator.wasAsked(holder)
        return this.requireSnapshot(refSnapshotId, clock)
      case "ClockTaken":
      case "UpdateOutdated":
        // If this connection already had an update under this clock, the client's list of updates in flight is wrong, and
        // only a snapshot brings all its changes. Otherwise the client has reconnected and begins again at clock 0: the
        // refusal makes it find its clock.
        return this.hasAcknowledged(message)
          ? this.requireLostChanges(message)
          : this.refuse(message, this.sentAgainFrom(message, outcome.refusal, holder))
      case "SnapshotDue":
        this.asked = message.pubKey
        return this.requireSnapshot(refSnapshotId, clock)
      default:
        return this.refuse(message, Number.POSITIVE_INFINITY)
    }
  }

  /**
   * Asks the client for a snapshot, by refusing an update with `requiresNewSnapshot: true`; the update may be made up. A
   * repeated request to replace the same snapshot says `false`.
   */
  requireSnapshot(snapshotId: string, clock: number): void {
    const active = this.room.state().active?.snapshotId ?? ""
    this.severalSnapshots = true
    this.connection.send(updateSaveFailed(snapshotId, clock, this.askedToReplace !== active))
    this.askedToReplace = active
  }

  /** Asks for a snapshot, now or at the author's next update, because the client may have forgotten the changes. */
  private requireLostChanges({ clock, pubKey, refSnapshotId }: UpdateMessage): void {
    this.asked = pubKey
    // Tells them once: a client may send such updates as fast as it can, and each signal is a message to every process.
    this.room.local.owedSnapshots.add(pubKey, () => this.room.tell(owedMessage(pubKey)))
    this.requireSnapshot(refSnapshotId, clock)
  }

  /** Waits until the client has brought the snapshot that it owes. Returns whether it owed one. */
  get brought(): Effect.Effect<boolean> {
    return Effect.suspend(() => this.room.local.owedSnapshots.brought(this.asked))
  }

  wasAskedToReplace(snapshotId: SnapshotId): boolean {
    return this.askedToReplace === snapshotId
  }

  /**
   * Whether the client may have more than one snapshot on its way. It may once it was asked for a snapshot, because it may
   * have been sending another one. A stored update shows that the client knows the active snapshot, and ends this.
   */
  mayHaveSeveralSnapshots(): boolean {
    return this.severalSnapshots
  }

  /** A snapshot was stored: the client may be asked to replace the active snapshot again. */
  snapshotStored(): void {
    this.askedToReplace = undefined
  }

  private hasAcknowledged({ refSnapshotId, clock }: UpdateMessage): boolean {
    const { acknowledged } = this
    return acknowledged?.refSnapshotId === refSnapshotId && clock <= acknowledged.clock
  }

  private acknowledge({ refSnapshotId, clock }: UpdateMessage): void {
    this.acknowledged = { refSnapshotId, clock }
    this.connection.send(updateSaved(refSnapshotId, clock))
  }

  /**
   * A client sends refused changes again under the clock after its last update that it knows to be stored. That is not above
   * the refused clock, unless the client has reconnected and begun again at 0.
   */
  private sentAgainFrom(
    { clock, refSnapshotId }: UpdateMessage,
    refusal: DocumentRefusal,
    holder: Pick<Holder, "isReady">
  ): number {
    // The client has received its stored updates before this refusal, unless they are held back.
    if (refusal._tag === "ClockTaken") return holder.isReady() ? refusal.expected : clock + 1
    const hasBegunAgain = clock === 0 && this.acknowledged?.refSnapshotId !== refSnapshotId
    return hasBegunAgain ? clock + 1 : Number.POSITIVE_INFINITY
  }

  /** Refuses a burst once: an update that surely continues a refused one is answered `update-superseded`. */
  private refuse({ refSnapshotId, pubKey, clock }: UpdateMessage, sentAgainFrom: number): void {
    const before = this.refused
    const follows = before?.refSnapshotId === refSnapshotId && before.pubKey === pubKey && before.clock + 1 === clock
    const continues = follows && clock < before.sentAgainFrom
    this.refused = {
      ...{ refSnapshotId, pubKey, clock },
      sentAgainFrom: follows ? Math.min(before.sentAgainFrom, sentAgainFrom) : sentAgainFrom
    }
    const frame = continues ? updateSuperseded(refSnapshotId, clock) : updateSaveFailed(refSnapshotId, clock, false)
    this.connection.send(frame)
  }
}
