/** A server of S3's protocol, from the npm package s3rver: it checks signatures, and stores objects on the disk. */
import { mkdtemp, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import S3rver from "@20minutes/s3rver"
import { Effect } from "effect"

export const BUCKET = "files"

/** The id and the secret of s3rver's only account. */
export const S3_KEY = "S3RVER"

/** Starts the server with one empty bucket, until the scope closes. */
export const startS3 = Effect.acquireRelease(
  Effect.promise(async () => {
    const directory = await mkdtemp(join(tmpdir(), "sealog-s3-"))
    const server = new S3rver({
      address: "127.0.0.1",
      port: 0,
      silent: true,
      directory,
      configureBuckets: [{ name: BUCKET }]
    })
    const { port } = await server.run()
    return { server, directory, endpoint: `http://127.0.0.1:${port}` }
  }),
  ({ server, directory }) =>
    Effect.promise(async () => {
      await server.close()
      await rm(directory, { recursive: true, force: true })
    })
)
