/** Backups of a SQLite file that are put back, as operators do it: copied, made by `VACUUM INTO`, and a file without its `-wal`. */
import { copyFileSync, rmSync } from "node:fs"
import { DatabaseSync } from "node:sqlite"
import { describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { storages } from "../support/storage/databases.ts"
import { throughRestore } from "../support/storage/throughRestore.ts"

const [{ fresh }] = storages.filter(({ name }) => name === "SQLite") as [(typeof storages)[number]]

const run = (filename: string, statement: string): void => {
  const connection = new DatabaseSync(filename)
  connection.exec(statement)
  connection.close()
}

/** Deletes the file with all that belongs to it. */
const remove = (filename: string): void => {
  for (const end of ["", "-wal", "-shm"]) rmSync(`${filename}${end}`, { force: true })
}

describe("a SQLite file that was put back", () => {
  it.live.each([
    // All of the log is in the file itself once its write-ahead log is empty.
    [
      "a copy of the file",
      (filename: string, backup: string) => {
        run(filename, "PRAGMA wal_checkpoint(TRUNCATE)")
        copyFileSync(filename, backup)
      }
    ],
    ["VACUUM INTO", (filename: string, backup: string) => run(filename, `VACUUM INTO '${backup}'`)]
  ] as const)("from %s: devices bring back what they hold, and newcomers see it", ([, backUp]) =>
    Effect.gen(function* () {
      const database = yield* fresh
      const filename = database.slice("sqlite:".length)
      yield* throughRestore({
        database,
        backUp: Effect.sync(() => backUp(filename, `${filename}.backup`)),
        end: ({ stop }) => stop,
        putBack: Effect.sync(() => {
          remove(filename)
          copyFileSync(`${filename}.backup`, filename)
        })
      })
    })
  )

  it.live("without the -wal of a killed server: devices bring back what was in it", () =>
    Effect.gen(function* () {
      const database = yield* fresh
      const filename = database.slice("sqlite:".length)
      yield* throughRestore({
        database,
        backUp: Effect.sync(() => run(filename, "PRAGMA wal_checkpoint(TRUNCATE)")),
        end: ({ kill }) => kill,
        putBack: Effect.sync(() => {
          for (const end of ["-wal", "-shm"]) rmSync(`${filename}${end}`)
        })
      })
    })
  )
})
