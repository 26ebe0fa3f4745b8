/** SQLite's result codes (https://sqlite.org/rescode.html) as kinds of failure. */
import { type FailureKind, makeUnavailable } from "@sealog/server/storage"

/** Primary result codes. The driver reports the common ones by a reason of `SqlError`; these it leaves unnamed. */
const KINDS: Readonly<Record<number, FailureKind>> = {
  /** SQLITE_ERROR: wrong SQL, or a table or column that does not exist. */
  1: "statement",
  /** SQLITE_NOMEM */
  7: "resources",
  /** SQLITE_READONLY */
  8: "access",
  /** SQLITE_IOERR */
  10: "resources",
  /** SQLITE_CORRUPT */
  11: "damage",
  /** SQLITE_FULL */
  13: "resources",
  /** SQLITE_TOOBIG */
  18: "value",
  /** SQLITE_MISMATCH */
  20: "value",
  /** SQLITE_MISUSE */
  21: "statement",
  /** SQLITE_RANGE */
  25: "statement",
  /** SQLITE_NOTADB */
  26: "damage"
}

/** Extended result codes that say more than their primary code, which is SQLITE_IOERR. */
const EXTENDED: Readonly<Record<number, FailureKind>> = {
  /** SQLITE_IOERR_SHORT_READ: the file ends before a page does. */
  522: "damage",
  /** SQLITE_IOERR_DATA: the checksum of a page is wrong. */
  8202: "damage",
  /** SQLITE_IOERR_CORRUPTFS: the file system is damaged. */
  8458: "damage"
}

/** An extended result code has its primary code in its lowest byte. */
export const kindOf = (errcode: number): FailureKind | undefined => EXTENDED[errcode] ?? KINDS[errcode & 0xff]

export const unavailable = makeUnavailable((cause) =>
  typeof cause === "object" && cause !== null && "errcode" in cause && typeof cause.errcode === "number"
    ? kindOf(cause.errcode)
    : undefined
)
