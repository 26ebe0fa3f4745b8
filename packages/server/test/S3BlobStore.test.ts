/**
 * The store of files on S3, against s3rver: a server of S3's protocol that others wrote, as an npm package, which checks
 * signatures and keeps objects on the disk. It calls itself a fake: it stands for the wire, not for Amazon's service.
 */
import { mkdtemp, rm } from "node:fs/promises"
import type { AddressInfo } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import S3rver from "@20minutes/s3rver"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Redacted, Stream } from "effect"
import { layerS3, type S3BlobStoreOptions } from "../src/S3BlobStore.ts"
import { blobStoreSuite } from "../src/testing/BlobStoreSuite.ts"

const BUCKET = "files"

const startS3 = Effect.acquireRelease(
  Effect.promise(async () => {
    const directory = await mkdtemp(join(tmpdir(), "sealog-s3-"))
    const server = new S3rver({ address: "127.0.0.1", port: 0, silent: true, directory, configureBuckets: [{ name: BUCKET }] })
    const { port } = await server.run()
    return { server, directory, endpoint: `http://127.0.0.1:${port}` }
  }),
  ({ server, directory }) =>
    Effect.promise(async () => {
      await server.close()
      await rm(directory, { recursive: true, force: true })
    })
)

const optionsFor = (endpoint: string): S3BlobStoreOptions => ({
  endpoint,
  bucket: BUCKET,
  region: "us-east-1",
  accessKeyId: Redacted.make("S3RVER"),
  secretAccessKey: Redacted.make("S3RVER"),
  prefix: "sealog/",
  pathStyle: true
})

blobStoreSuite(
  "S3, by s3rver",
  Layer.unwrap(Effect.map(startS3, ({ endpoint }) => layerS3(optionsFor(endpoint))))
)
