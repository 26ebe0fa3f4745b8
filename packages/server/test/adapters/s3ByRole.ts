/**
 * Stores files on S3 as a machine with a role, until it is killed. In a process of its own: the conditions of the tests' imports
 * load parts of the AWS SDK that belong to a browser.
 */
import { Effect, Stream } from "effect"
import { layerS3Config } from "../../src/adapters/S3BlobStore.ts"
import { BlobKey, BlobStore } from "../../src/ports/BlobStore.ts"

const store = Effect.gen(function* () {
  const blobs = yield* BlobStore
  yield* blobs.put(BlobKey.make("role/file"), Stream.make(new TextEncoder().encode("hello")), 100)
  console.log("stored")
  yield* Effect.sleep("100 millis")
})

Effect.runPromise(Effect.provide(Effect.forever(store), layerS3Config)).catch((error) => {
  console.error(error)
  process.exit(1)
})
