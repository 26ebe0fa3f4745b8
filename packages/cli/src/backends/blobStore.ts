/** The store of uploaded files that `--files` names: a directory, or `s3`. */
import { statSync } from "node:fs"
import { FileSystemBlobStore } from "@sealog/server/adapters"
import type { BlobStore, BlobStoreUnavailable } from "@sealog/server/ports"
import type { Config, Layer } from "effect"
import { CliFailure } from "../output/CliFailure.ts"

export type BlobStoreLayer = Layer.Layer<BlobStore, BlobStoreUnavailable | Config.ConfigError>

export const blobStoreOf = async (place: string): Promise<BlobStoreLayer> => {
  if (place !== "s3") return FileSystemBlobStore.layerFileSystem({ directory: place })
  const { S3BlobStore } = await import("@sealog/server/adapters")
  return S3BlobStore.layerS3Config
}

/** Fails if the directory does not exist: deleting from a directory that was just made would look like success. */
export const existingBlobStoreOf = async (place: string): Promise<BlobStoreLayer> => {
  if (place !== "s3" && statSync(place, { throwIfNoEntry: false })?.isDirectory() !== true) {
    throw new CliFailure({
      code: "NO_SUCH_DIRECTORY",
      message: `${place} is not a directory.`,
      exitCode: 2,
      tryThis: "use the directory that the servers use (their --files or SEALOG_FILES)"
    })
  }
  return blobStoreOf(place)
}
