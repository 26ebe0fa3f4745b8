/** Keeps libraries in order while they are open: records the replicas' progress, compacts, sweeps files. */
import { Cause, Effect, Option } from "effect"
import type { FileId } from "../../domain/Ids.ts"
import { streamName } from "../../domain/Stream.ts"
import type { LibraryCommand } from "../../domain/verdant/Commands.ts"
import { BlobKey, type BlobStore } from "../../ports/BlobStore.ts"
import { compactLibrary } from "./LibraryCompaction.ts"
import type { LibraryRoom } from "./Rooms.ts"

/** How often an open library is searched for files without references, in milliseconds. */
const SWEEP_MILLIS = 3_600_000
const ORIGIN = "@upkeep"

export interface MaintenanceOptions {
  readonly now: () => number
  /** See `VerdantOptions.foldAfter`. */
  readonly compactAfter: number
  /** How long a file without references is kept, in milliseconds. */
  readonly keepFiles: number
  readonly blobs: Option.Option<BlobStore["Service"]>
  readonly run: (effect: Effect.Effect<void>) => void
}

export const makeMaintenance = ({ blobs, compactAfter, keepFiles, now, run }: MaintenanceOptions) => {
  const touched = new Set<LibraryRoom>()
  const compacting = new Set<LibraryRoom>()

  const record = (room: LibraryRoom): void => {
    const { local } = room
    const submit = (command: LibraryCommand) => room.submit(command, ORIGIN, () => {})
    local.progress.ripen()
    if (local.progress.takeChanged()) submit({ _tag: "AdvanceCursors" })
    const { baselines, operations, watermark } = room.state()
    const isDue = operations >= Math.max(compactAfter, baselines / 2) && local.compactionTriedAt !== watermark
    if (!isDue || compacting.has(room)) return
    local.compactionTriedAt = watermark
    if (watermark !== null) compact(room, watermark)
  }

  const compact = (room: LibraryRoom, upTo: string): void => {
    compacting.add(room)
    const ended = Effect.sync(() => compacting.delete(room))
    const compaction = Effect.catchDefect(compactLibrary(room, upTo), (defect) =>
      Effect.logError(`Compacting ${streamName(room.key)} failed`, Cause.die(defect))
    )
    run(Effect.ensuring(compaction, ended))
  }

  const sweep = (room: LibraryRoom): void => {
    const { files } = room.state()
    if (files.size === 0 || now() - room.local.sweptAt < SWEEP_MILLIS) return
    room.local.sweptAt = now()
    room.submit({ _tag: "SweepFiles", keep: keepFiles }, ORIGIN, (outcome) => {
      if (outcome._tag !== "Stored" || Option.isNone(blobs)) return
      // The event comes first: if this is interrupted, the next sweep of the store deletes the bytes.
      const { deleted } = outcome.event.data as { readonly deleted: ReadonlyArray<FileId> }
      for (const fileId of deleted) {
        const file = files.get(fileId)
        if (file !== undefined) run(Effect.ignore(blobs.value.delete(BlobKey.make(file.blob))))
      }
    })
  }

  const maintain = (room: LibraryRoom): void => {
    const { presence, progress } = room.local
    presence.tick()
    record(room)
    sweep(room)
    // Promises ripen in two steps, and polling users leave without a message.
    if (room.isDropped() || (!progress.hasUnripe() && !presence.isNeeded())) touched.delete(room)
  }

  return {
    /** The library needs maintenance, until nothing in it is about to ripen or to leave. */
    touch: (room: LibraryRoom): void => void touched.add(room),
    /** Called at intervals; see `ReplicaProgress.ripen`. */
    tick: (): void => {
      for (const room of Array.from(touched)) {
        try {
          maintain(room)
        } catch (defect) {
          // Until it is touched again, so that a lasting defect does not fill the log.
          touched.delete(room)
          run(Effect.logError(`Maintaining ${streamName(room.key)} failed`, Cause.die(defect)))
        }
      }
    }
  }
}
