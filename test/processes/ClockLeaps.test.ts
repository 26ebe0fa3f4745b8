/** A server process on a machine whose clock leaps by an hour, forward and back, with clients of both protocols. */
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { pathToFileURL } from "node:url"
import { assert, it } from "@effect/vitest"
import * as JwtAccess from "@sealog/server/adapters/JwtAccess"
import { LibraryId } from "@sealog/server/domain/Ids"
import { VERDANT } from "@sealog/server/domain/verdant/Events"
import { Access } from "@sealog/server/ports/Access"
import { EventLog } from "@sealog/server/ports/EventLog"
import { makeAuthor, updateMessage } from "@sealog/server/testing"
import { Duration, Effect, Redacted } from "effect"
import { connectRaw } from "../support/clients/RawSecsync.ts"
import { connectVerdant, registerReplica } from "../support/clients/RawVerdant.ts"
import { begin } from "../support/secsync/Writers.ts"
import { runCommand, spawnServer, syncAdmin } from "../support/servers/ServerProcess.ts"
import { randomName, TOKEN_SECRET } from "../support/servers/TestServer.ts"
import { freshStorage, layerOf } from "../support/storage/databases.ts"
import { until } from "../support/until.ts"
import { libraryOn } from "../support/verdant/Library.ts"
import { initialize, makeReplica } from "../support/verdant/Replica.ts"

const HOUR = 3_600_000

/** A machine's clock, which server processes read from a file. */
const makeMachine = Effect.gen(function* () {
  const folder = yield* Effect.acquireRelease(
    Effect.sync(() => mkdtempSync(join(tmpdir(), "sealog-clock-"))),
    (made) => Effect.sync(() => rmSync(made, { recursive: true }))
  )
  const file = join(folder, "clock")
  writeFileSync(file, "0")
  const module = pathToFileURL(join(import.meta.dirname, "../soak/machineClock.ts"))
  module.searchParams.set("file", file)
  const taken = `${file}-taken`
  const leap = (ahead: number) =>
    Effect.suspend(() => {
      writeFileSync(file, String(ahead))
      return until("the process has the time", () => existsSync(taken) && readFileSync(taken, "utf8") === String(ahead))
    })
  return { program: ["--import", module.href, syncAdmin], leap }
})

/** A token that outlives the leaps. */
const mintFor = (libraryId: string, endpoint: string) =>
  Effect.flatMap(Access, (access) =>
    access.mint({ userId: "a", libraryId: LibraryId.make(libraryId), endpoint, expiresIn: Duration.days(1) })
  ).pipe(Effect.provide(JwtAccess.layerTokens([Redacted.make(TOKEN_SECRET)])), Effect.orDie)

it.live("a server whose clock leaps by an hour, forward and back, stores, passes on and closes nothing too early", () =>
  Effect.gen(function* () {
    const database = yield* freshStorage
    const machine = yield* makeMachine
    const server = yield* spawnServer(database, { program: machine.program })
    const library = libraryOn(server)
    const token = yield* mintFor(library.id, library.endpoint)
    const documentId = randomName()
    yield* begin(server.url, documentId, token)
    const options = { url: server.url, documentId, token }
    const [writer, reader] = [yield* connectRaw(options), yield* connectRaw(options)]
    const { publicData } = writer.first["snapshot"] as { readonly publicData: { readonly snapshotId: string } }
    const signer = makeAuthor()
    const join = Effect.gen(function* () {
      const [connection, replica] = [yield* connectVerdant(library, token), makeReplica()]
      yield* registerReplica(connection, replica)
      return { connection, replica }
    })
    const [author, peer] = [yield* join, yield* join]
    let clock = 0
    const writeBoth = Effect.gen(function* () {
      writer.send(updateMessage(signer, { docId: documentId, refSnapshotId: publicData.snapshotId, clock }))
      yield* writer.next("update-saved")
      yield* reader.next("update")
      const operation = author.replica.operation(`item/${clock}`, initialize({ id: `${clock}` }))
      author.connection.send(author.replica.op(operation))
      yield* author.connection.next("server-ack", ({ timestamp }) => String(timestamp) >= operation.timestamp)
      yield* peer.connection.next("op-re", (message) => JSON.stringify(message).includes(operation.timestamp))
      clock += 1
    })
    yield* writeBoth
    for (const ahead of [-HOUR, HOUR, -HOUR, 0]) {
      yield* machine.leap(ahead)
      yield* writeBoth
      for (const { isOpen } of [writer, reader, author.connection, peer.connection]) assert.isTrue(isOpen())
    }
    const newcomer = yield* join
    newcomer.connection.send(newcomer.replica.op(newcomer.replica.operation("item/new", initialize({ id: "new" }))))
    yield* peer.connection.next("op-re", (message) => JSON.stringify(message).includes("item/new"))
    assert.strictEqual(((yield* connectRaw(options)).first["updates"] as ReadonlyArray<unknown>).length, clock)
    yield* server.stop

    const streams = yield* Effect.flatMap(EventLog, (log) =>
      Effect.forEach([documentId, VERDANT], (streamId) => log.read({ libraryId: library.id, streamId }, { after: 0 }))
    ).pipe(Effect.provide(layerOf(database)), Effect.orDie)
    for (const placed of streams) {
      const times = placed.map(({ event }) => event.recordedAt)
      assert.deepStrictEqual(
        times,
        times.toSorted((a, b) => a - b)
      )
      assert.isAbove(times.at(-1)! - times[0]!, HOUR / 2)
    }
    const { exitCode, stdout } = yield* runCommand(database, "replay")
    assert.strictEqual(exitCode, 0, stdout)
  })
)
