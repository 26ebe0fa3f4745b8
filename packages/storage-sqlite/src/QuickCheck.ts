/**
 * `PRAGMA quick_check` of one table after another, on a thread of its own: it reads the whole file, and would hold up the process.
 * The thread has its own connection, which only reads.
 */
import { Worker } from "node:worker_threads"
import { StorageUnavailable } from "@sealog/server/ports"
import { Effect } from "effect"

/** Problems that are named of each table. */
const MAX_NAMED = 5
/** A text instead of a file, so that a bundle needs no further one. */
const CHECK = `
const { parentPort, workerData } = require("node:worker_threads")
const { DatabaseSync } = require("node:sqlite")
const problems = []
const database = new DatabaseSync(workerData.filename, { readOnly: true })
/** What SQLite cannot even read is a problem, too. */
const rowsOf = (statement, name) => {
  try {
    return database.prepare(statement).all()
  } catch (error) {
    problems.push(name + ": " + error.message)
    return []
  }
}
for (const { name } of rowsOf("SELECT name FROM sqlite_schema WHERE type = 'table'", "schema")) {
  // The list of streams is small, and a stream that its index does not name looks like one that nobody has begun.
  const check = name === "streams" ? "integrity_check" : "quick_check"
  const lines = rowsOf("PRAGMA " + check + '("' + name + '")', name).map((row) => row[check])
  const found = lines.filter((line) => line !== "ok").slice(0, workerData.maxNamed)
  problems.push(...found.map((line) => name + ": " + line))
}
parentPort.postMessage(problems)
`

/** Returns a line for each problem of the file, with the table. The check stops when it is interrupted. */
export const quickCheck = (filename: string): Effect.Effect<ReadonlyArray<string>, StorageUnavailable> =>
  filename === ":memory:"
    ? Effect.succeed([])
    : Effect.callback((resume) => {
        const worker = new Worker(CHECK, {
          eval: true,
          workerData: { filename, maxNamed: MAX_NAMED },
          execArgv: ["--disable-warning=ExperimentalWarning"]
        })
        worker.once("message", (problems: ReadonlyArray<string>) =>
          resume(Effect.succeed(problems.map((problem) => `${filename}: ${problem}`)))
        )
        worker.once("error", (cause) => resume(new StorageUnavailable({ operation: "check the file", cause })))
        return Effect.promise(() => worker.terminate())
      })
