/**
 * A write-ahead log that may belong to another file: the database was put back from a backup, and its `-wal` was left. SQLite
 * would apply that to the backup.
 */
import { statSync } from "node:fs"

/** A running server's `-wal` may be older than its file by a checkpoint; milliseconds. */
const TOLERATED = 60_000

export interface LeftOverWal {
  readonly bytes: number
  /** Written so much before the file, milliseconds. */
  readonly olderBy: number
}

/** undefined: there is no `-wal` with content, or it is as new as the file. */
export const leftOverWal = (filename: string): LeftOverWal | undefined => {
  const [file, wal] = [filename, `${filename}-wal`].map((name) => statSync(name, { throwIfNoEntry: false }))
  if (file === undefined || wal === undefined || wal.size === 0) return undefined
  const olderBy = file.mtimeMs - wal.mtimeMs
  return olderBy > TOLERATED ? { bytes: wal.size, olderBy } : undefined
}
