/** Uploads of one file that race each other. */
import { assert, it } from "@effect/vitest"
import { Context, Effect, Layer } from "effect"
import { makeTroubledLog } from "#test-support/storage/TroubledLog"
import { FileId, type Hash, LibraryId } from "../../../../src/domain/Ids.ts"
import { BlobKey } from "../../../../src/ports/BlobStore.ts"
import { EventLog } from "../../../../src/ports/EventLog.ts"
import { Signals } from "../../../../src/ports/Signals.ts"
import { VerdantFiles } from "../../../../src/protocols/verdant/files/FileCatalog.ts"
import { LibraryRooms } from "../../../../src/protocols/verdant/Rooms.ts"
import { Committer } from "../../../../src/rooms/Committer.ts"
import { Openings } from "../../../../src/rooms/Openings.ts"
import { Quotas } from "../../../../src/rooms/Quotas.ts"

const libraryId = LibraryId.make("notes")
const blobOf = (name: string) => BlobKey.make(`group/${name}`)

const startProcess = (log: Effect.Success<typeof makeTroubledLog>["layer"]) =>
  Effect.map(
    Layer.build(
      VerdantFiles.layer.pipe(
        Layer.provide(Layer.fresh(LibraryRooms.layer())),
        Layer.provide([Layer.fresh(Committer.layer), Layer.fresh(Quotas.layer()), Openings.layer()]),
        Layer.provide([log, Signals.layerNone])
      )
    ),
    (services) => {
      const files = Context.get(services, VerdantFiles)
      const file = { fileId: FileId.make("f"), name: "n", type: "text/plain", size: 1, hash: "h".repeat(43) as Hash }
      return (name: string) =>
        Effect.map(
          files.record(libraryId, { ...file, blob: blobOf(name), userId: "ada" }),
          (replaced) => replaced?.blob
        )
    }
  )

const shared = Effect.map(makeTroubledLog, ({ log }) => Layer.succeed(EventLog, log))

it.effect("each of two uploads at a time is told the file that it replaced", () =>
  Effect.gen(function* () {
    const record = yield* startProcess(yield* shared)
    assert.isUndefined(yield* record("first"))
    const replaced = yield* Effect.all([record("second"), record("third")], { concurrency: 2 })
    assert.deepStrictEqual(replaced, [blobOf("first"), blobOf("second")])
    assert.strictEqual(yield* record("fourth"), blobOf("third"))
  })
)

it.effect("an upload is told the file that it replaced, also when another process recorded that one", () =>
  Effect.gen(function* () {
    const log = yield* shared
    const [here, there] = [yield* startProcess(log), yield* startProcess(log)]
    yield* here("first")
    yield* there("second")
    assert.strictEqual(yield* here("third"), blobOf("second"))
  })
)
