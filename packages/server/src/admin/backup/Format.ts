/**
 * The format of a backup, a folder or a prefix of S3:
 *
 * - `log/manifests/NUMBER.json`: one backup, with the names and hashes of everything that it needs. It is written last.
 * - `log/segments/…`: events as JSON lines of an export, in frames of zstd. The last frame is the index of the others.
 * - `log/lists/…`: the uploaded files that the log names, as JSON lines in zstd.
 * - `files/GROUP/NAME`: the bytes of uploaded files, as they are in the `BlobStore`.
 *
 * Nothing that was written is changed. docs/backup.md describes it for operators.
 */
import { randomBytes } from "node:crypto"
import { promisify } from "node:util"
import { constants, zstdCompress, zstdDecompress } from "node:zlib"
import { Effect, Option, Schema, Stream } from "effect"
import { blake2b256 } from "../../domain/Blake2b.ts"
import { errorText } from "../../domain/errorText.ts"
import { FileId, Hash, LibraryId } from "../../domain/Ids.ts"
import { BlobKey, type BlobStore, BlobStoreUnavailable } from "../../ports/BlobStore.ts"

/** A place for backups of one log. */
export interface BackupPlace {
  readonly log: BlobStore["Service"]
  readonly files: BlobStore["Service"]
}

/** A part of a backup is missing or damaged, or the backup cannot be used for this. */
export class BackupUnusable extends Schema.TaggedError<BackupUnusable>()("BackupUnusable", {
  /** The name of the damaged part, from the place of the backups. */
  part: Schema.String,
  detail: Schema.String
}) {
  override get message(): string {
    return `${this.part}: ${this.detail}`
  }
}

const Count = Schema.Int.check(Schema.isGreaterThanOrEqualTo(0))

/** An object of the store, and what it must hold. */
const Part = { name: BlobKey, size: Count, hash: Hash }

const Segment = Schema.Struct({
  ...Part,
  /** The offset of the last frame, which holds the index. */
  indexAt: Count
})
export type Segment = typeof Segment.Type

const Manifest = Schema.Struct({
  format: Schema.Literal("sealog-backup"),
  version: Schema.Literal(1),
  number: Count,
  /** Milliseconds since 1970. The backup holds everything that was acknowledged before it started. */
  startedAt: Count,
  endedAt: Count,
  log: Schema.Struct({
    streams: Count,
    events: Count,
    /** The hash of an export's last line: one over the heads of all streams. */
    heads: Schema.String,
    /** Payloads that were missing in the log, though no event deleted them. */
    payloadsMissing: Count
  }),
  /** Events that the backup before did not hold. */
  written: Count,
  /** Those of the backups before, and then its own. */
  segments: Schema.Array(Segment),
  files: Schema.Struct({
    ...Part,
    count: Count,
    bytes: Count,
    /** Files that the log names, but whose bytes the backup does not hold. */
    missing: Count
  })
})
export type Manifest = typeof Manifest.Type

/** Some events of a stream in one frame of a segment. */
const Run = Schema.Struct({
  libraryId: Schema.Union([LibraryId, Schema.Literal("@server")]),
  streamId: Schema.String,
  from: Count,
  to: Count,
  /** The stream's head after the last of them. */
  generation: Count,
  chain: Hash,
  /** The newest checkpoint among them; 0: none. */
  checkpoint: Count,
  /** Payloads of events with a smaller version are purged by one of them. */
  purges: Count,
  /** The last of them deletes the stream for good. */
  deletes: Schema.Boolean,
  payloads: Count,
  recordedFrom: Schema.Int,
  recordedTo: Schema.Int,
  /** Where their frame is in the segment, in bytes. */
  at: Count,
  length: Count
})
export type Run = typeof Run.Type

const ListedFile = Schema.Struct({
  libraryId: LibraryId,
  fileId: FileId,
  blob: BlobKey,
  size: Count,
  hash: Hash,
  /** Whether the backup has its bytes. */
  held: Schema.Boolean
})
export type ListedFile = typeof ListedFile.Type

const MANIFEST = /^manifests\/(\d{6,})\.json$/
const manifestKey = (number: number): BlobKey => BlobKey.make(`manifests/${String(number).padStart(6, "0")}.json`)

/** A name that no other backup uses, also none that runs at the same time. */
export const newName = (group: "segments" | "lists", number: number): BlobKey =>
  BlobKey.make(`${group}/${String(number).padStart(6, "0")}-${randomBytes(8).toString("hex")}.jsonl.zst`)

const decodeManifest = Schema.decodeUnknownOption(Schema.fromJsonString(Manifest))
const decodeRun = Schema.decodeUnknownSync(Schema.fromJsonString(Run))
const decodeFile = Schema.decodeUnknownSync(Schema.fromJsonString(ListedFile))

// ------------------------------------------------------------------------------------------------------------- frames

const [compressFrame, decompressFrame] = [promisify(zstdCompress), promisify(zstdDecompress)]

/** Room for the line of the largest payload. A frame that says more was not written here. */
const MAX_FRAME_BYTES = 512 * 1024 * 1024

/** A frame of zstd with a checksum. Frames one after the other are a file that `zstd -d` reads. */
export const frameOf = (text: string): Effect.Effect<Buffer> =>
  Effect.promise(() => compressFrame(text, { params: { [constants.ZSTD_c_checksumFlag]: 1 } }))

export const textOfFrame = (part: string, frame: Uint8Array): Effect.Effect<string, BackupUnusable> =>
  Effect.tryPromise({
    try: async () => (await decompressFrame(frame, { maxOutputLength: MAX_FRAME_BYTES })).toString(),
    catch: (cause) => damaged(part, `it was changed after it was written (${errorText(cause)})`)
  })

export const damaged = (part: string, detail: string): BackupUnusable =>
  new BackupUnusable({ part: `log/${part}`, detail })

// ------------------------------------------------------------------------------------------------------------ objects

/** Reads an object or a range of it; undefined if there is none. */
export const readBytes = (store: BlobStore["Service"], key: BlobKey, range?: { offset: number; length: number }) =>
  Effect.scoped(
    Effect.gen(function* () {
      const blob = yield* store.get(key, range)
      return blob && Buffer.concat(yield* Stream.runCollect(blob.bytes))
    })
  )

/** Reads an object, which must have this size and hash. */
const readPart = Effect.fnUntraced(function* (
  store: BlobStore["Service"],
  { name, size, hash }: { readonly name: BlobKey; readonly size: number; readonly hash: Hash }
) {
  const bytes = yield* readBytes(store, name)
  if (bytes === undefined) return yield* damaged(name, "it is missing")
  if (bytes.length !== size) return yield* damaged(name, `it has ${bytes.length} bytes instead of ${size}`)
  if (blake2b256(bytes) !== hash) return yield* damaged(name, "it was changed after it was written")
  return bytes
})

/** Checks that an object is as it was written. */
export const checkPart = (store: BlobStore["Service"], part: Parameters<typeof readPart>[1]) =>
  Effect.asVoid(readPart(store, part))

/** Stores an object, and reads it again to verify it. */
export const writePart = Effect.fnUntraced(function* (store: BlobStore["Service"], name: BlobKey, bytes: Uint8Array) {
  const part = { name, size: bytes.length, hash: blake2b256(bytes) }
  yield* store
    .put(name, Stream.make(bytes), bytes.length)
    .pipe(Effect.catchTag("BlobTooLarge", (error) => Effect.die(error)))
  yield* checkPart(store, part)
  return part
})

// ---------------------------------------------------------------------------------------------------------- manifests

/** The numbers of the complete backups, oldest first. */
export const numbersIn = (store: BlobStore["Service"]) =>
  Effect.map(Stream.runCollect(store.list), (entries) =>
    entries.flatMap(({ key }) => Number(MANIFEST.exec(key)?.[1] ?? 0) || []).toSorted((a, b) => a - b)
  )

export const readManifest = Effect.fnUntraced(function* (store: BlobStore["Service"], number: number) {
  const name = manifestKey(number)
  const bytes = yield* readBytes(store, name)
  if (bytes === undefined) return yield* damaged(name, "it is missing")
  const manifest = Option.getOrUndefined(decodeManifest(bytes.toString()))
  if (manifest?.number !== number) return yield* damaged(name, "it is not the manifest of a backup")
  return manifest
})

/** Completes a backup. */
export const writeManifest = Effect.fnUntraced(function* (store: BlobStore["Service"], manifest: Manifest) {
  const name = manifestKey(manifest.number)
  if ((yield* store.stat(name)) !== undefined) {
    return yield* damaged(name, "another backup has just been written; one backup at a time uses a place")
  }
  yield* writePart(store, name, Buffer.from(`${JSON.stringify(manifest, undefined, 1)}\n`))
})

// -------------------------------------------------------------------------------------------------- indexes and lists

const linesOf = <A>(part: string, text: string, decode: (line: string) => A) =>
  Effect.try({
    try: () => text.split("\n").slice(0, -1).map(decode),
    catch: () => damaged(part, "it is not as a backup wrote it")
  })

export const indexFrame = (runs: ReadonlyArray<Run>) => frameOf(runs.map((run) => `${JSON.stringify(run)}\n`).join(""))

export const readIndex = Effect.fnUntraced(function* (store: BlobStore["Service"], segment: Segment) {
  const { indexAt, name, size } = segment
  const bytes = yield* readBytes(store, name, { offset: indexAt, length: size - indexAt })
  if (bytes === undefined) return yield* damaged(name, "it is missing")
  return yield* linesOf(name, yield* textOfFrame(name, bytes), decodeRun)
})

/** Reads the text of a segment's events, frame by frame. */
export const eachFrame = Effect.fnUntraced(function* <E, R>(
  store: BlobStore["Service"],
  segment: Segment,
  visit: (text: string) => Effect.Effect<void, E, R>
) {
  const frames = new Map((yield* readIndex(store, segment)).map(({ at, length }) => [at, length]))
  const bytes = yield* readPart(store, segment)
  for (const [at, length] of frames) yield* visit(yield* textOfFrame(segment.name, bytes.subarray(at, at + length)))
})

export const writeList = Effect.fnUntraced(function* (
  store: BlobStore["Service"],
  number: number,
  files: ReadonlyArray<ListedFile>
) {
  const frame = yield* frameOf(files.map((file) => `${JSON.stringify(file)}\n`).join(""))
  return yield* writePart(store, newName("lists", number), frame)
})

export const readList = Effect.fnUntraced(function* (store: BlobStore["Service"], list: Manifest["files"]) {
  const text = yield* textOfFrame(list.name, yield* readPart(store, list))
  return yield* linesOf(list.name, text, decodeFile)
})

/** The failure of the store as one of a log. */
export const unavailableOf = (error: BackupUnusable | BlobStoreUnavailable): Error =>
  error instanceof BlobStoreUnavailable && error.cause instanceof Error ? error.cause : error
