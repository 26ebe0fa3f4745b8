/** The data of a Verdant server: a SQLite file per library, and a folder of uploaded files. They are read, never written. */
import { createReadStream, readdirSync } from "node:fs"
import { lstat } from "node:fs/promises"
import { join, resolve, sep } from "node:path"
import { DatabaseSync, type StatementSync } from "node:sqlite"
import {
  type VerdantBytes,
  type VerdantRow,
  type VerdantSource,
  type VerdantTables,
  VerdantUnreadable
} from "@sealog/server/admin"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import { CliFailure } from "../output/CliFailure.ts"
import { errorText } from "../output/errorText.ts"

const EXTENSION = ".sqlite"

/** The libraries of a `databasesDirectory`, sorted by name, with files from the `rootDirectory` of a `LocalFileStorage`. */
export const databasesIn = (directory: string, filesDirectory?: string): ReadonlyArray<VerdantSource> =>
  fileNamesIn(directory, "databasesDirectory")
    .filter((name) => name.endsWith(EXTENSION))
    .sort()
    .map((name) => {
      const libraryId = name.slice(0, -EXTENSION.length)
      const open = openShard(join(directory, name))
      return filesDirectory === undefined
        ? { libraryId, open }
        : { libraryId, open, bytesOf: bytesIn(filesDirectory, libraryId) }
    })

/** Fails with `NO_SUCH_DIRECTORY`. `setting` is the Verdant server's name for this directory. */
export const fileNamesIn = (directory: string, setting: string): ReadonlyArray<string> => {
  try {
    return readdirSync(directory)
  } catch (error) {
    throw new CliFailure({
      code: "NO_SUCH_DIRECTORY",
      message: `${directory} cannot be read: ${errorText(error)}`,
      exitCode: 2,
      tryThis: `use the directory that the Verdant server's ${setting} names`
    })
  }
}

/**
 * Reads the file LIBRARY/FILE/NAME. A client chose NAME, and the Verdant server joined it to the path unchecked: a name
 * that leads out of the file's own folder gives undefined.
 */
const bytesIn =
  (filesDirectory: string, libraryId: string): VerdantBytes =>
  (fileId, name) =>
    Effect.promise(async () => {
      const folder = [resolve(filesDirectory), libraryId, fileId].join(sep)
      const path = [folder, name].join(sep)
      if (resolve(folder) !== folder || resolve(path) !== path) return undefined
      const found = await lstat(path).catch(() => undefined)
      if (found?.isFile() !== true) return undefined
      const bytes = Stream.suspend(() => Stream.fromAsyncIterable(createReadStream(path), unreadable))
      return { size: found.size, bytes }
    })

const openShard = (filename: string) =>
  Effect.acquireRelease(
    Effect.try({
      try: () => {
        const database = new DatabaseSync(filename, { readOnly: true })
        try {
          // All reads see one moment of the database, including what is still in its WAL.
          database.exec("BEGIN")
          return { database, tables: tablesOf(database) }
        } catch (error) {
          database.close()
          throw error
        }
      },
      catch: unreadable
    }),
    ({ database }) => Effect.sync(() => database.close())
  ).pipe(Effect.map(({ tables }) => tables))

/** Rows per page. */
const PAGE = 500

/** An async generator, because `Stream.fromAsyncIterable` turns an error while reading into a failure, not a defect. */
async function* pagesOf(statement: StatementSync): AsyncGenerator<ReadonlyArray<VerdantRow>> {
  let page: Array<VerdantRow> = []
  for (const row of statement.iterate()) {
    if (page.push(row) < PAGE) continue
    yield page
    page = []
  }
  yield page
}

const tablesOf = (database: DatabaseSync): VerdantTables => {
  // Databases from before private documents have no column `authz`.
  const authz = database.prepare("SELECT 1 FROM pragma_table_info('OperationHistory') WHERE name = 'authz'").get()
  const access = authz === undefined ? "NULL AS authz" : "authz"
  const hasFiles = database.prepare("SELECT 1 FROM sqlite_master WHERE name = 'FileMetadata'").get() !== undefined
  const rows = (query: string) => {
    const statement = database.prepare(query)
    return Stream.fromAsyncIterable(pagesOf(statement), unreadable).pipe(Stream.flattenIterable)
  }
  return {
    replicas: rows(
      "SELECT id, clientId, type, lastSeenWallClockTime, ackedLogicalTime, ackedServerOrder FROM ReplicaInfo"
    ),
    operations: rows(`SELECT oid, timestamp, data, serverOrder, replicaId, ${access} FROM OperationHistory`),
    baselines: rows(`SELECT oid, snapshot, timestamp, ${access} FROM DocumentBaseline`),
    files: hasFiles ? rows("SELECT fileId, name, type FROM FileMetadata") : Stream.empty
  }
}

const unreadable = (error: unknown) => new VerdantUnreadable({ detail: errorText(error) })
