/** The stores that an app can choose for its files, and a log in memory to try things with. */
import { Layer, Redacted } from "effect"
import { layerFileSystem } from "../adapters/FileSystemBlobStore.ts"
import { layerMemory } from "../adapters/MemoryEventLog.ts"
import { layerS3 } from "../adapters/S3BlobStore.ts"
import type { BlobStore, BlobStoreUnavailable } from "../ports/BlobStore.ts"
import type { EventLog, StorageUnavailable } from "../ports/EventLog.ts"
import { Signals } from "../ports/Signals.ts"

/** A log and its signals. Made by `sqliteStorage`, `postgresStorage` or `memoryStorage`. */
export type Storage = Layer.Layer<EventLog | Signals, StorageUnavailable>

/** A store for the bytes of files. Made by `fileDirectory` or `s3Bucket`. */
export type FileStore = Layer.Layer<BlobStore, BlobStoreUnavailable>

/** A log in memory, which ends with the process: for tests. */
export const memoryStorage = (): Storage => Layer.merge(layerMemory, Signals.layerNone)

/** Files in a directory, which is created if it does not exist. Nothing else should be in it. Several processes may share it. */
export const fileDirectory = (directory: string): FileStore => layerFileSystem({ directory })

export interface S3BucketOptions {
  /** The URL of S3, or of a service with its API: `https://s3.eu-central-1.amazonaws.com`. */
  readonly endpoint: string
  readonly bucket: string
  /** Default: `us-east-1`. */
  readonly region?: string
  /** Without keys, the AWS SDK finds credentials, for example of an instance's role (`@aws-sdk/credential-providers`). */
  readonly accessKeyId?: string
  readonly secretAccessKey?: string
  /** The prefix of all object names, for a bucket with other content. Default: "". */
  readonly prefix?: string
  /** Whether the bucket is in the path of URLs, and not in the host name. Default: true. */
  readonly pathStyle?: boolean
}

/** Files in a bucket of S3, or of a service with its API. */
export const s3Bucket = ({ accessKeyId, secretAccessKey, ...options }: S3BucketOptions): FileStore =>
  layerS3({
    ...{ region: "us-east-1", prefix: "", pathStyle: true, ...options },
    ...(accessKeyId === undefined ? {} : { accessKeyId: Redacted.make(accessKeyId) }),
    ...(secretAccessKey === undefined ? {} : { secretAccessKey: Redacted.make(secretAccessKey) })
  })
