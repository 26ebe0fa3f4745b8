/**
 * The file store on S3, against the npm package s3rver: a server of S3's protocol that checks signatures and stores objects on the
 * disk. It stands for the wire protocol, not for Amazon's service.
 */
import { spawn } from "node:child_process"
import { createServer, request, type Server } from "node:http"
import type { AddressInfo } from "node:net"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { ConfigProvider, Effect, Layer, Redacted, Stream } from "effect"
import { BUCKET, S3_KEY, startS3 } from "#test-support/servers/S3Server"
import { until } from "#test-support/until"
import { layerS3, layerS3Config, type S3BlobStoreOptions } from "../../src/adapters/S3BlobStore.ts"
import { s3Bucket } from "../../src/node/stores.ts"
import { BlobKey, BlobStore, BlobStoreUnavailable } from "../../src/ports/BlobStore.ts"
import { blobStoreSuite } from "../../src/testing/BlobStoreSuite.ts"

const optionsFor = (endpoint: string): S3BlobStoreOptions => ({
  endpoint,
  bucket: BUCKET,
  region: "us-east-1",
  accessKeyId: Redacted.make(S3_KEY),
  secretAccessKey: Redacted.make(S3_KEY),
  prefix: "sealog/",
  pathStyle: true
})

blobStoreSuite("S3, by s3rver", Layer.unwrap(Effect.map(startS3, ({ endpoint }) => layerS3(optionsFor(endpoint)))), {
  // s3rver writes in place. test/system tests a service that does not.
  replacesAtOnce: false
})

/** A proxy before the service that answers some requests itself. It passes on the signed host unchanged. */
const startTroubled = Effect.fnUntraced(function* (
  endpoint: string,
  answer: (method: string, url: string) => { readonly status: number; readonly body: string } | undefined
) {
  const server = yield* Effect.acquireRelease(
    Effect.callback<Server>((resume) => {
      const server = createServer((incoming, outgoing) => {
        const ours = answer(incoming.method ?? "", incoming.url ?? "")
        if (ours !== undefined) {
          incoming.resume()
          outgoing.writeHead(ours.status).end(ours.body)
          return
        }
        const { method, headers } = incoming
        const onwards = request(new URL(incoming.url ?? "/", endpoint), { method: method!, headers }, (reply) => {
          outgoing.writeHead(reply.statusCode ?? 502, reply.headers)
          reply.pipe(outgoing)
        })
        incoming.pipe(onwards)
      })
      server.listen(0, "127.0.0.1", () => resume(Effect.succeed(server)))
    }),
    (server) => Effect.sync(() => server.close().closeAllConnections())
  )
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
})

const key = BlobKey.make("group/name.bin")
const text = (value: string) => Stream.make(new TextEncoder().encode(value))
const MiB = 1024 * 1024

const open = (options: S3BlobStoreOptions) => Effect.provide(BlobStore, layerS3(options))

describe("files on S3", () => {
  it.live("lose their uploaded parts when an upload is cut off", () =>
    Effect.gen(function* () {
      const { endpoint } = yield* startS3
      const asked: Array<string> = []
      // s3rver cannot abort an upload, so the proxy answers for it. test/system tests a service that can.
      const address = yield* startTroubled(endpoint, (method, url) => {
        asked.push(`${method} ${url.replace(/uploadId=\w+/, "uploadId=id")}`)
        return method === "DELETE" ? { status: 204, body: "" } : undefined
      })
      const blobs = yield* open(optionsFor(address))
      const cutOff = Stream.concat(Stream.make(new Uint8Array(17 * MiB)), Stream.fail("cut off"))
      assert.strictEqual(yield* Effect.flip(blobs.put(key, cutOff, 100 * MiB)), "cut off")
      const path = "/files/sealog/group/name.bin"
      assert.deepStrictEqual(asked, [
        `POST ${path}?uploads=`,
        `PUT ${path}?partNumber=1&uploadId=id`,
        `PUT ${path}?partNumber=2&uploadId=id`,
        `DELETE ${path}?uploadId=id`
      ])
    })
  )

  it.live("are listed page by page, without other objects of the bucket", () =>
    Effect.gen(function* () {
      const { endpoint } = yield* startS3
      const object = (key: string, size: number) =>
        `<Contents><Key>${key}</Key><LastModified>2026-01-02T03:04:05.000Z</LastModified><Size>${size}</Size></Contents>`
      const token = "1/a+b==&c"
      const pages = new Map([
        [
          undefined,
          `${object("sealog/group/one", 1)}<NextContinuationToken>${token.replace("&", "&amp;")}</NextContinuationToken>`
        ],
        [token, `${object("sealog/README", 2)}${object("sealog/group/two", 3)}${object("sealog/a&amp;b/c", 4)}`]
      ])
      // s3rver's pages need a cipher that OpenSSL no longer has, so these are ours, in S3's words; real ones in test/system.
      const address = yield* startTroubled(endpoint, (_, url) => {
        const query = new URL(url, endpoint).searchParams
        assert.strictEqual(query.get("prefix"), "sealog/")
        const page = pages.get(query.get("continuation-token") ?? undefined)
        return { status: 200, body: `<ListBucketResult>${page}</ListBucketResult>` }
      })
      const listed = yield* Stream.runCollect((yield* open(optionsFor(address))).list)
      const modifiedAt = Date.UTC(2026, 0, 2, 3, 4, 5)
      assert.deepStrictEqual(listed, [
        { key: BlobKey.make("group/one"), size: 1, modifiedAt },
        { key: BlobKey.make("group/two"), size: 3, modifiedAt }
      ])
    })
  )

  it.live("are unavailable with a wrong secret, and the error says so", () =>
    Effect.gen(function* () {
      const { endpoint } = yield* startS3
      const blobs = yield* open({ ...optionsFor(endpoint), secretAccessKey: Redacted.make("wrong") })
      const error = yield* Effect.flip(blobs.put(key, text("hello"), 100))
      assert.strictEqual(
        error.message,
        "The file store failed to store a file: S3 answered 403 (SignatureDoesNotMatch)"
      )
    })
  )

  it.live("are unavailable while the service does not answer", () =>
    Effect.gen(function* () {
      const blobs = yield* open(optionsFor("http://127.0.0.1:1"))
      const errors = [
        yield* Effect.flip(blobs.put(key, text("hello"), 100)),
        yield* Effect.flip(Effect.scoped(blobs.get(key))),
        yield* Effect.flip(blobs.stat(key)),
        yield* Effect.flip(blobs.delete(key)),
        yield* Effect.flip(Stream.runCollect(blobs.list))
      ]
      for (const error of errors) assert.instanceOf(error, BlobStoreUnavailable)
    })
  )

  it.live(
    "are requested again while the service is busy, and a large file whose parts were not joined is not stored",
    () =>
      Effect.gen(function* () {
        const { endpoint } = yield* startS3
        let trouble: "busy" | "incomplete" | undefined = "busy"
        const address = yield* startTroubled(endpoint, (method, url) => {
          if (trouble === "busy") {
            trouble = undefined
            return { status: 503, body: "<Error><Code>SlowDown</Code></Error>" }
          }
          return trouble === "incomplete" && method === "POST" && url.includes("uploadId=")
            ? { status: 200, body: "<?xml version='1.0'?>\n   <Error><Code>InternalError</Code></Error>" }
            : undefined
        })
        const blobs = yield* open(optionsFor(address))
        yield* blobs.put(key, text("hello"), 100)
        assert.deepStrictEqual(yield* blobs.stat(key), { size: 5 })
        trouble = "incomplete"
        const large = Stream.make(new Uint8Array(9 * MiB))
        const error = yield* Effect.flip(blobs.put(key, large, 100 * MiB))
        assert.strictEqual(error.message, "The file store failed to store a file: S3 answered 200 (InternalError)")
        assert.deepStrictEqual(yield* blobs.stat(key), { size: 5 })
      })
  )

  it.live("are found by the configuration", () =>
    Effect.gen(function* () {
      const { endpoint } = yield* startS3
      const env = {
        S3_ENDPOINT: endpoint,
        S3_BUCKET: BUCKET,
        S3_ACCESS_KEY_ID: S3_KEY,
        S3_SECRET_ACCESS_KEY: S3_KEY
      }
      const layer = layerS3Config.pipe(Layer.provide(ConfigProvider.layer(ConfigProvider.fromUnknown(env))))
      const blobs = yield* Effect.provide(BlobStore, layer)
      yield* blobs.put(key, text("hello"), 100)
      assert.deepStrictEqual(yield* blobs.stat(key), { size: 5 })
    })
  )

  it.live("are stored in the bucket that an app names", () =>
    Effect.gen(function* () {
      const { endpoint } = yield* startS3
      const bucket = s3Bucket({ endpoint, bucket: BUCKET, accessKeyId: "S3RVER", secretAccessKey: S3_KEY })
      const blobs = yield* Effect.provide(BlobStore, bucket)
      yield* blobs.put(key, text("hello"), 100)
      assert.deepStrictEqual(yield* blobs.stat(key), { size: 5 })
    })
  )

  it.live("are stored with the credentials of a machine's role, which end and are replaced", () =>
    Effect.gen(function* () {
      const { endpoint } = yield* startS3
      let asked = 0
      // The endpoint from which a container gets the credentials of its role. They end within the SDK's margin of 5 minutes.
      const roles = yield* Effect.acquireRelease(
        Effect.callback<Server>((resume) => {
          const server = createServer((_, response) => {
            asked += 1
            const Expiration = new Date(Date.now() + 60_000).toISOString()
            response.end(
              JSON.stringify({ AccessKeyId: S3_KEY, SecretAccessKey: S3_KEY, Token: "of a role", Expiration })
            )
          })
          server.listen(0, "127.0.0.1", () => resume(Effect.succeed(server)))
        }),
        (server) => Effect.sync(() => server.close().closeAllConnections())
      )
      const { port } = roles.address() as AddressInfo
      const env = {
        ...{ ...process.env, S3_ENDPOINT: endpoint, S3_BUCKET: BUCKET },
        AWS_CONTAINER_CREDENTIALS_FULL_URI: `http://127.0.0.1:${port}/role`
      }
      const program = ["--conditions=@sealog/source", join(import.meta.dirname, "s3ByRole.ts")]
      const child = yield* Effect.acquireRelease(
        Effect.sync(() => spawn(process.execPath, program, { env })),
        (child) => Effect.sync(() => child.kill("SIGKILL"))
      )
      let output = ""
      for (const stream of [child.stdout, child.stderr]) {
        stream.on("data", (data) => {
          output += String(data)
        })
      }
      const stored = () => output.split("stored").length - 1
      yield* until(
        "it has stored files, and has asked again",
        () => stored() > 1 && asked > 1,
        () => output
      )
      const blobs = yield* Effect.provide(BlobStore, layerS3({ ...optionsFor(endpoint), prefix: "" }))
      assert.deepStrictEqual(yield* blobs.stat(BlobKey.make("role/file")), { size: 5 })
    })
  )

  it.effect("need both keys or neither", () =>
    Effect.gen(function* () {
      const env = { S3_ENDPOINT: "http://127.0.0.1:1", S3_BUCKET: BUCKET, S3_ACCESS_KEY_ID: S3_KEY }
      const layer = layerS3Config.pipe(Layer.provide(ConfigProvider.layer(ConfigProvider.fromUnknown(env))))
      const error = yield* Effect.flip(Effect.provide(BlobStore, layer))
      assert.match(error.message, /one of S3_ACCESS_KEY_ID and S3_SECRET_ACCESS_KEY is missing; set both, or neither/)
    })
  )
})
