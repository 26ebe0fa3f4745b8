import { assert, describe, it } from "@effect/vitest"
import { layerS3, type S3BlobStoreOptions } from "@sealog/server/adapters/S3BlobStore"
import { makeS3Client } from "@sealog/server/adapters/S3Client"
import { credentialsOf } from "@sealog/server/adapters/S3Credentials"
import { BlobKey, BlobStore } from "@sealog/server/ports/BlobStore"
import { blobStoreSuite } from "@sealog/server/testing"
import { Effect, Layer, Stream } from "effect"
import { LISTED_AT_A_TIME, startSwift } from "./Swift.ts"

const MiB = 1024 * 1024

/** Starts Swift with an empty bucket. */
const start = Effect.gen(function* () {
  const options: S3BlobStoreOptions = {
    ...(yield* startSwift),
    bucket: "files",
    region: "us-east-1",
    prefix: "sealog/",
    pathStyle: true
  }
  const s3 = makeS3Client({ ...options, credentials: yield* credentialsOf(options) })
  yield* s3.call({ method: "PUT", name: "" })
  return { options, s3 }
})

blobStoreSuite("S3, by OpenStack Swift", Layer.unwrap(Effect.map(start, ({ options }) => layerS3(options))))

describe("files on S3", () => {
  it.live("an upload that fails leaves no parts behind, and all files are listed page after page", () =>
    Effect.gen(function* () {
      const { options, s3 } = yield* start
      const blobs = yield* Effect.provide(BlobStore, layerS3(options))
      const uploads = Effect.map(
        s3.call({ method: "GET", name: "", query: { uploads: "" } }),
        ({ text }) => text.match(/<Upload>/g)?.length ?? 0
      )
      let during = 0
      const look = Stream.drain(Stream.fromEffect(Effect.tap(uploads, (count) => Effect.sync(() => (during = count)))))
      const cutOff = Stream.make(new Uint8Array(17 * MiB)).pipe(
        Stream.concat(look),
        Stream.concat(Stream.fail("cut off"))
      )
      const key = BlobKey.make("cut/off")
      assert.strictEqual(yield* Effect.flip(blobs.put(key, cutOff, 100 * MiB)), "cut off")
      assert.deepStrictEqual([during, yield* uploads], [1, 0])

      const keys = Array.from({ length: 2 * LISTED_AT_A_TIME + 1 }, (_, i) =>
        BlobKey.make(`group/${String(i).padStart(4, "0")}`)
      )
      const one = Stream.make(new Uint8Array(1))
      yield* Effect.forEach(keys, (key) => blobs.put(key, one, 1), { concurrency: 4, discard: true })
      yield* s3.call({ method: "PUT", name: "sealog/README" })
      yield* s3.call({ method: "PUT", name: "others/group/0000" })
      const listed = yield* Stream.runCollect(blobs.list)
      assert.deepStrictEqual(
        listed.map(({ key }) => key),
        keys
      )
    })
  )
})
