/** A server that is killed while files are uploaded: no file has half its bytes, and what is left over is deleted. */
import { existsSync, readdirSync } from "node:fs"
import { join } from "node:path"
import { DatabaseSync } from "node:sqlite"
import { assert, it } from "@effect/vitest"
import { layerFileSystem } from "@sealog/server/adapters/FileSystemBlobStore"
import { Clock, Duration, Effect, Layer } from "effect"
import { ask, bearer, beginUpload, uploadFile } from "../support/network/uploads.ts"
import { spawnServer } from "../support/servers/ServerProcess.ts"
import { startServer } from "../support/servers/TestServer.ts"
import { shiftedClock } from "../support/shiftedClock.ts"
import { freshStorage } from "../support/storage/databases.ts"
import { until } from "../support/until.ts"
import { libraryOn } from "../support/verdant/Library.ts"
import { freshDirectory } from "../support/verdant/shards.ts"

const [BEFORE, HALF] = ["the bytes before ".repeat(1000), "x".repeat(500_000)] as const

const filesIn = (folder: string) => (existsSync(folder) ? readdirSync(folder) : [])

/** A clock a day later, on which a minute takes a tenth of a second: a server sweeps its files a minute after it starts. */
const dayLater = (clock: Clock.Clock): Clock.Clock => ({
  ...shiftedClock(clock, () => Duration.toMillis("25 hours")),
  sleep: (duration) => clock.sleep(Duration.divideUnsafe(duration, 600))
})

it.live("an upload that a kill cuts off leaves no reference without its bytes, and what is left over is swept", () =>
  Effect.gen(function* () {
    const [database, directory] = [yield* freshStorage, yield* freshDirectory]
    const serve = (port?: number) => spawnServer(database, { args: ["--files", directory], ...(port && { port }) })
    const incoming = () => filesIn(join(directory, ".incoming"))
    const blobs = () => filesIn(directory).flatMap((group) => (group[0] === "." ? [] : filesIn(join(directory, group))))

    const first = yield* serve()
    const library = libraryOn(first)
    const token = yield* library.token({ userId: "a" })
    const files = `${library.endpoint}/files`
    const upload = (fileId: string, content: string) =>
      uploadFile({ url: files } as never, token, fileId, new File([content], "x", { type: "text/plain" }))
    const statusOf = (fileId: string) =>
      Effect.map(ask(`${files}/${fileId}`, { headers: bearer(token) }), ({ status }) => status)
    const contentOf = (fileId: string) =>
      Effect.map(ask(`${files}/${fileId}/content`, { headers: bearer(token) }), ({ bytes }) => String(bytes))

    // Killed with half of the bytes of a new file, and of one that replaces another.
    assert.strictEqual((yield* upload("replaced", BEFORE)).status, 200)
    for (const fileId of ["replaced", "new"]) {
      yield* beginUpload(first, token, fileId, { contentLength: 9_000_000, content: HALF })
    }
    yield* until("both uploads arrive", () => incoming().length === 2)
    yield* first.kill

    const second = yield* serve(first.port)
    assert.strictEqual(yield* contentOf("replaced"), BEFORE)
    assert.strictEqual(yield* statusOf("new"), 404)
    assert.strictEqual((yield* upload("new", HALF)).status, 200)
    assert.strictEqual(yield* contentOf("new"), HALF)

    // Killed with all bytes of a file, before the log has it: another process keeps the log from being written.
    const other = new DatabaseSync(database.slice("sqlite:".length))
    other.exec("BEGIN IMMEDIATE")
    const cut = yield* Effect.forkChild(Effect.exit(upload("unrecorded", HALF)))
    yield* until("all its bytes are stored", () => blobs().length === 3)
    yield* second.kill
    other.close()
    cut.interruptUnsafe()

    const third = yield* serve(first.port)
    assert.strictEqual(yield* statusOf("unrecorded"), 404)
    assert.strictEqual((yield* upload("unrecorded", HALF)).status, 200)
    assert.lengthOf(blobs(), 4)
    assert.lengthOf(incoming(), 2)
    yield* third.stop

    const sweeper = startServer({ database, blobs: Layer.orDie(layerFileSystem({ directory })) })
    yield* sweeper.pipe(
      Effect.provideServiceEffect(Clock.Clock, Effect.map(Clock.Clock, dayLater)),
      Effect.andThen(until("the orphan is deleted", () => blobs().length === 3)),
      Effect.scoped
    )
    assert.lengthOf(incoming(), 0)
    yield* serve(first.port)
    assert.deepStrictEqual(yield* Effect.forEach(["replaced", "new", "unrecorded"], contentOf), [BEFORE, HALF, HALF])
  })
)
