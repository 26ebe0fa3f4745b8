/** The place of backups that `--to` and `--from` name: a directory, or s3://BUCKET/PREFIX. */
import { statSync } from "node:fs"
import { join } from "node:path"
import { FileSystemBlobStore } from "@sealog/server/adapters"
import type { BackupPlace } from "@sealog/server/admin"
import { BlobStore } from "@sealog/server/ports"
import { Context, Effect, Layer, type Scope } from "effect"
import { CliFailure } from "../output/CliFailure.ts"
import type { BlobStoreLayer } from "./blobStore.ts"

/** `mustExist`: fail if the directory does not exist, because an empty place would look like one without backups. */
export const backupPlaceOf = async (text: string, { mustExist }: { readonly mustExist: boolean }) => {
  const layerOf = await storesIn(text, mustExist)
  const open = (name: "log" | "files") =>
    Effect.map(Layer.build(Layer.fresh(layerOf(name))), (services) => Context.get(services, BlobStore))
  return Effect.all({ log: open("log"), files: open("files") }) satisfies Effect.Effect<
    BackupPlace,
    unknown,
    Scope.Scope
  >
}

const storesIn = async (text: string, mustExist: boolean): Promise<(name: string) => BlobStoreLayer> => {
  if (!text.startsWith("s3:")) {
    if (mustExist && statSync(text, { throwIfNoEntry: false })?.isDirectory() !== true) {
      throw new CliFailure({
        code: "NO_SUCH_DIRECTORY",
        message: `${text} is not a directory.`,
        exitCode: 2,
        tryThis: "the place that `sync-admin backup --to` wrote to"
      })
    }
    return (name) => FileSystemBlobStore.layerFileSystem({ directory: join(text, name) })
  }
  const [, bucket, prefix = ""] = /^s3:\/\/([^/]+)(?:\/(.*?))?\/?$/.exec(text) ?? []
  if (bucket === undefined) {
    throw new CliFailure({
      code: "USAGE",
      message: "The place of backups does not have the form s3://BUCKET/PREFIX.",
      exitCode: 2,
      tryThis: "s3://backups/sealog, with S3_ENDPOINT, S3_ACCESS_KEY_ID and S3_SECRET_ACCESS_KEY set"
    })
  }
  const { S3BlobStore } = await import("@sealog/server/adapters")
  return (name) => S3BlobStore.layerS3ConfigAt({ bucket, prefix: `${prefix === "" ? "" : `${prefix}/`}${name}/` })
}
