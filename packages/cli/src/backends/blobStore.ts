/** From what `--files` says to a store of files; loaded only when it is used. */
import { statSync } from "node:fs"
import type { BlobStore, BlobStoreUnavailable } from "@sealog/server/ports"
import type { Config, Layer } from "effect"
import { CliFailure } from "../output/CliFailure.ts"

export type FileStore = Layer.Layer<BlobStore, BlobStoreUnavailable | Config.ConfigError>

export const fileStore = async (place: string): Promise<FileStore> => {
  const { FileSystemBlobStore, S3BlobStore } = await import("@sealog/server/adapters")
  return place === "s3" ? S3BlobStore.layerS3Config : FileSystemBlobStore.layerFileSystem({ directory: place })
}

/** One that is there: to delete from an empty one that was made just now would look like success. */
export const existingFileStore = async (place: string): Promise<FileStore> => {
  if (place !== "s3" && statSync(place, { throwIfNoEntry: false })?.isDirectory() !== true) {
    throw new CliFailure({
      code: "NO_SUCH_DIRECTORY",
      message: `${place} is no directory.`,
      exitCode: 2,
      tryThis: "what the servers are told by --files or SEALOG_FILES"
    })
  }
  return fileStore(place)
}
