/**
 * The watermark as a connected client hears it. The watermark waits for no promise of a passive replica. So it may be later than
 * changes that such a client has not sent: the client would merge them into its own data, and never send them once its
 * connection breaks. It hears a watermark when its own promise has reached it.
 */
import type { ReplicaId } from "../../domain/verdant/Events.ts"
import type { LibraryState } from "../../domain/verdant/State.ts"
import { isWaitedFor } from "../../domain/verdant/Watermark.ts"
import type { Grant } from "../../ports/Access.ts"
import type { ReplicaProgress } from "./ReplicaProgress.ts"

export class HeardWatermark {
  private readonly state: () => LibraryState
  private readonly progress: ReplicaProgress
  private readonly isReadOnly: boolean
  private held: string | undefined

  constructor(state: () => LibraryState, progress: ReplicaProgress, { readOnly }: Pick<Grant, "readOnly">) {
    this.state = state
    this.progress = progress
    this.isReadOnly = readOnly
  }

  /** The watermark rose. Returns the one that the client may hear, if any. */
  rise(replicaId: ReplicaId | undefined, watermark: string | undefined): string | undefined {
    this.held = watermark ?? this.held
    return this.take(replicaId)
  }

  /** The watermark that was held back, if the client may hear it now. */
  take(replicaId: ReplicaId | undefined): string | undefined {
    const { held } = this
    if (held === undefined) return undefined
    const replica = replicaId === undefined ? undefined : this.state().replicas.get(replicaId)
    const writesUnwaited = replica !== undefined && !this.isReadOnly && !isWaitedFor(replica)
    if (writesUnwaited && held > (this.progress.promisedBy(replica) ?? "")) return undefined
    this.held = undefined
    return held
  }
}
