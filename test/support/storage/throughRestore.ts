/**
 * Real devices of both protocols live through a restore: they write, an operator makes a backup, they write on, and the operator
 * puts the backup back and marks it. Everything that a device holds must come back, without a loop.
 */
import { assert } from "@effect/vitest"
import { Effect } from "effect"
import { connectClient, untilAll } from "../secsync/SecsyncClient.ts"
import { mintToken, runCommand, type ServerProcess, spawnServer } from "../servers/ServerProcess.ts"
import { randomName } from "../servers/TestServer.ts"
import { until } from "../until.ts"
import { libraryOn } from "../verdant/Library.ts"
import { contents, openClient, openClients, untilSame } from "../verdant/VerdantClient.ts"

export interface Restore {
  readonly database: string
  /** Makes a backup. The server runs. */
  readonly backUp: Effect.Effect<void>
  /** How the server ends before the restore. */
  readonly end: (server: ServerProcess) => Effect.Effect<void>
  /** Puts the backup back. No server runs. */
  readonly putBack: Effect.Effect<void>
}

/** The connections that a client makes after the server has ended: one to the restored log, and one after the mark. */
const MAX_RECONNECTS = 4

export const throughRestore = Effect.fnUntraced(function* ({ backUp, database, end, putBack }: Restore) {
  const server = yield* spawnServer(database)
  const { port, url } = server
  const token = yield* mintToken(randomName())
  // One document with a snapshot alone, and one whose newest snapshot the backup lacks.
  const documents = [{ documentId: randomName() }, { documentId: randomName(), snapshotEvery: 3 }] as const
  const writers = yield* Effect.forEach(documents, (document) => connectClient({ url, token, ...document }))
  const library = libraryOn({ url })
  const [a, b] = yield* openClients(["a", "b"], { library })
  const write = Effect.fnUntraced(function* (item: string) {
    for (const writer of writers) writer.write(item)
    yield* untilAll(writers, `${item} is stored`, (writer) => writer.isSettledOnActive())
    yield* a.put({ content: item })
    yield* b.until(`it has ${item}`, (found) => contents(found).includes(item))
  })
  yield* write("before the backup")
  yield* untilSame([a, b])
  yield* backUp
  const later = Array.from({ length: 6 }, (_, i) => `after the backup ${i}`)
  for (const item of later) yield* write(item)
  yield* untilSame([a, b])
  const connections = writers.map((writer) => writer.connections())
  const resets = [a, b].map((device) => device.resets())
  yield* end(server)
  for (const writer of writers) writer.write("while the server was down")
  yield* b.put({ content: "while the server was down" })

  yield* putBack
  const marked = yield* runCommand(database, "restored")
  assert.strictEqual(marked.exitCode, 0, marked.stdout + marked.stderr)
  yield* spawnServer(database, { port })
  const all = ["before the backup", ...later, "while the server was down"].toSorted()
  for (const [i, writer] of writers.entries()) {
    const holdsAll = (client: typeof writer) =>
      client.isSettledOnActive() && client.list().toSorted().join() === all.join()
    yield* untilAll([writer], "the writer has all", holdsAll)
    const newcomer = yield* connectClient({ url, token, ...documents[i]! })
    yield* untilAll([writer, newcomer], "a newcomer has all", holdsAll)
  }
  const newcomer = yield* openClient({ library, user: "newcomer" })
  for (const device of [a, b, newcomer]) {
    yield* until(
      `${device.user} has all`,
      Effect.map(device.documents(), (found) => found.length === all.length)
    )
  }
  assert.deepStrictEqual(contents(yield* untilSame([a, b, newcomer])).toSorted(), all)

  for (const [i, writer] of writers.entries()) {
    assert.isAtMost(writer.connections(), connections[i]! + MAX_RECONNECTS)
    assert.strictEqual(writer.state(), "connected")
  }
  for (const [i, device] of [a, b].entries()) assert.isAtMost(device.resets(), resets[i]! + 2)
  const { exitCode, stderr, stdout } = yield* runCommand(database, "replay")
  assert.strictEqual(exitCode, 0, stdout + stderr)
})
