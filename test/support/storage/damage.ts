/** Damage to a database, as a disk makes it: bytes that have changed under a running server. */
import { closeSync, openSync, readFileSync, writeSync } from "node:fs"
import { DatabaseSync } from "node:sqlite"
import type { StreamKey } from "@sealog/server/domain/Stream"
import { Effect } from "effect"
import { administer } from "./databases.ts"

/** Inverts the last byte of a stored payload: in the SQLite file itself, or in the row of a Postgres table. */
export const changePayload = (database: string, key: StreamKey, version: number): Effect.Effect<void> =>
  database.startsWith("sqlite:")
    ? Effect.sync(() => {
        const filename = database.slice("sqlite:".length)
        const { at, payload } = locate(filename, key, version)
        overwrite(filename, at + payload.length - 1, Uint8Array.of(payload.at(-1)! ^ 0xff))
      })
    : Effect.asVoid(
        administer(
          `UPDATE sealog.payloads SET payload = set_byte(payload, length(payload) - 1, 255 - get_byte(payload, length(payload) - 1))
           WHERE version = ${version} AND (library_id, stream_number) IN (SELECT library_id, stream_number
             FROM sealog.streams WHERE library_id = '${key.libraryId}' AND stream_id = '${key.streamId}')`,
          database
        )
      )

/** Fills the page of the SQLite file that holds an event's payload with zeros. */
export const zeroPage = (database: string, key: StreamKey, version: number): Effect.Effect<void> =>
  Effect.sync(() => {
    const filename = database.slice("sqlite:".length)
    const { at } = locate(filename, key, version)
    const pageSize = readFileSync(filename).readUInt16BE(16)
    overwrite(filename, Math.floor(at / pageSize) * pageSize, new Uint8Array(pageSize))
  })

/**
 * Where the file has a payload. The write-ahead log is moved into the file before, so that the file is what SQLite reads; the
 * connections of a server then forget the pages that they hold.
 */
const locate = (filename: string, { libraryId, streamId }: StreamKey, version: number) => {
  const connection = new DatabaseSync(filename)
  const row = connection
    .prepare(
      `SELECT p.payload FROM streams s JOIN events e ON e.stream_number = s.stream_number JOIN payloads p ON p.position = e.position
       WHERE s.library_id = ? AND s.stream_id = ? AND e.version = ?`
    )
    .get(libraryId, streamId, version) as { readonly payload: Uint8Array }
  // A write that another connection must take notice of.
  connection.exec("UPDATE streams SET updated_at = updated_at; PRAGMA wal_checkpoint(TRUNCATE)")
  connection.close()
  const at = readFileSync(filename).indexOf(row.payload)
  if (at < 0) throw new Error("The payload is not in the file in one piece")
  return { at, payload: row.payload }
}

/** Writes bytes into a file, as a disk that loses some does. */
export const overwrite = (filename: string, at: number, bytes: Uint8Array): void => {
  const file = openSync(filename, "r+")
  writeSync(file, bytes, 0, bytes.length, at)
  closeSync(file)
}
