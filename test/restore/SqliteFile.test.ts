/** Backups of a SQLite file that are put back, as operators do it: copied, made by `VACUUM INTO`, and a file without its `-wal`. */
import { copyFileSync, renameSync, rmSync } from "node:fs"
import { DatabaseSync } from "node:sqlite"
import { assert, describe, it } from "@effect/vitest"
import { updateMessage } from "@sealog/server/testing"
import { Effect } from "effect"
import { ask } from "../support/network/uploads.ts"
import { startDocument } from "../support/secsync/startDocument.ts"
import { startServer } from "../support/servers/TestServer.ts"
import { storages } from "../support/storage/databases.ts"
import { throughRestore } from "../support/storage/throughRestore.ts"
import { until } from "../support/until.ts"

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

it.live("a SQLite file that is replaced under a server turns health red, and nothing is acknowledged any more", () =>
  Effect.gen(function* () {
    const server = yield* startServer({ database: yield* fresh })
    const { author, client, docId, refSnapshotId } = yield* startDocument(server)
    const filename = server.database.slice("sqlite:".length)
    copyFileSync(filename, `${filename}.copy`)
    renameSync(`${filename}.copy`, filename)
    client.send(updateMessage(author, { docId, refSnapshotId, clock: 0 }))
    yield* until(
      "health is red",
      Effect.map(ask(`http://127.0.0.1:${server.port}/readyz`), ({ status }) => status === 503)
    )
    yield* client.next("update-save-failed")
    assert.isFalse(client.frames.some(({ type }) => type === "update-saved"))
  })
)
