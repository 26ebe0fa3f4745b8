/**
 * A write-ahead log that may belong to another file: the database was put back from a backup, and its `-wal` was left. SQLite
 * would apply that to the backup.
 */
import { statSync } from "node:fs"

/** A running server's `-wal` may be older than its file by a checkpoint; milliseconds. */
const TOLERATED = 60_000

/** The steps of an operator who finds one. */
export const REMEDY =
  "if so: stop the server, delete the file with its -wal and -shm, put the backup back, `sync-admin restored`"

/** Describes the `-wal` of a file; undefined: there is none with content, or it is as new as the file. */
export const leftOverWal = (filename: string): string | undefined => {
  const [file, wal] = [filename, `${filename}-wal`].map((name) => statSync(name, { throwIfNoEntry: false }))
  if (file === undefined || wal === undefined || wal.size === 0) return undefined
  const olderBy = file.mtimeMs - wal.mtimeMs
  return olderBy > TOLERATED
    ? `${filename}-wal was written ${Math.round(olderBy / 60_000)} minutes before ${filename}: if the file was put back from a backup, the -wal belongs to the file before`
    : undefined
}
