/** Opens backups: their manifests, and the log of one of them. */
import { Effect } from "effect"
import { BlobKey } from "../../ports/BlobStore.ts"
import { makeBackupIndex } from "./BackupIndex.ts"
import { makeBackupLog } from "./BackupLog.ts"
import {
  type BackupPlace,
  BackupUnusable,
  damaged,
  type Manifest,
  numbersIn,
  readIndex,
  readManifest
} from "./Format.ts"

const READ_AT_A_TIME = 8

/** The newest complete backup of a place, or one by its number. Fails if there is none. */
export const findBackup = Effect.fnUntraced(function* ({ log }: BackupPlace, number?: number) {
  const numbers = yield* numbersIn(log)
  const found = number ?? numbers.at(-1)
  if (found === undefined)
    return yield* new BackupUnusable({ part: "log/manifests", detail: "there is no backup here" })
  return yield* readManifest(log, found)
})

/** Reads the indexes of a backup's segments, and checks that together they are the log that the manifest describes. */
export const readBackupIndex = Effect.fnUntraced(function* (
  { log }: BackupPlace,
  { number, segments, log: described }: Manifest
) {
  const index = makeBackupIndex()
  const indexes = yield* Effect.forEach(segments, (segment) => readIndex(log, segment), { concurrency: READ_AT_A_TIME })
  for (const [i, runs] of indexes.entries()) {
    for (const run of runs) index.add({ ...run, segment: segments[i]!.name })
  }
  const { events, heads, streams } = index.tally()
  if (events === described.events && heads === described.heads && streams === described.streams) return index
  const name = BlobKey.make(`manifests/${String(number).padStart(6, "0")}.json`)
  return yield* damaged(name, "its segments do not hold the log that it describes")
})

/** The log of a backup, to read. */
export const openBackup = Effect.fnUntraced(function* (place: BackupPlace, manifest: Manifest) {
  return yield* makeBackupLog(place.log, yield* readBackupIndex(place, manifest))
})
