/** Appends a batch over a connection that is opened for it, and stays. */
import { DatabaseSync } from "node:sqlite"
import type { Appended } from "@sealog/server/ports"
import { insert, judge, type PackedAppend, prepare, type Statements } from "./AppendStatements.ts"

export interface AppendJob {
  readonly filename: string
  /** How long the append waits while another process writes. */
  readonly busyMillis: number
  readonly batch: ReadonlyArray<PackedAppend>
}

export type AppendResult =
  | { readonly _tag: "Appended"; readonly results: ReadonlyArray<Appended> }
  /** The parts of an error of `node:sqlite`, which a message between threads would lose. */
  | { readonly _tag: "Failed"; readonly failure: Failure }

interface Failure {
  readonly message: string
  readonly code?: unknown
  readonly errcode?: unknown
  readonly errstr?: unknown
}

interface Connection {
  readonly database: DatabaseSync
  readonly statements: Statements
}

let connection: Connection | undefined

export const appendLarge = ({ batch, busyMillis, filename }: AppendJob): AppendResult => {
  try {
    connection ??= open(filename, busyMillis)
    return { _tag: "Appended", results: append(connection, batch) }
  } catch (error) {
    // The next append opens another connection, whatever state this one is in.
    connection?.database.close()
    connection = undefined
    const { code, errcode, errstr, message } = error as Failure
    return { _tag: "Failed", failure: { message, code, errcode, errstr } }
  }
}

const append = ({ database, statements }: Connection, batch: ReadonlyArray<PackedAppend>): ReadonlyArray<Appended> => {
  database.exec("BEGIN IMMEDIATE")
  const judged = judge(statements, batch)
  insert(statements, judged)
  database.exec("COMMIT")
  return judged.results
}

/** With the settings of the driver's connection. */
const open = (filename: string, busyMillis: number): Connection => {
  const database = new DatabaseSync(filename, { timeout: busyMillis })
  database.exec("PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON")
  return { database, statements: prepare(database) }
}
