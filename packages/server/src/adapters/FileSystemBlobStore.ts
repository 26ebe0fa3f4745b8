/**
 * The file store in a directory, with one folder for each group. A new file is written beside the folders, flushed and then
 * renamed, so that a crash leaves all of it or nothing. Several processes may share the directory.
 */
import { dirname, join } from "node:path"
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import { Clock, Effect, FileSystem, Layer, Option, type PlatformError, Schema, Stream } from "effect"
import {
  type BlobEntry,
  BlobKey,
  type BlobRange,
  BlobStore,
  BlobStoreUnavailable,
  measure
} from "../ports/BlobStore.ts"

export interface FileSystemBlobStoreOptions {
  /** The directory, created if it does not exist. Nothing else should be in it. */
  readonly directory: string
}

/** The folder of unfinished files. No group has this name, because groups do not begin with a dot. */
const INCOMING = ".incoming"
/** The age in milliseconds after which an unfinished file was left by a killed process: no upload takes so long. */
const LEFT_BEHIND_AFTER = 24 * 60 * 60 * 1000
const READ_BYTES = 64 * 1024

export const layerFileSystem = (options: FileSystemBlobStoreOptions): Layer.Layer<BlobStore, BlobStoreUnavailable> =>
  Layer.effect(BlobStore, make(options)).pipe(Layer.provide(NodeFileSystem.layer))

const make = Effect.fnUntraced(function* ({ directory }: FileSystemBlobStoreOptions) {
  const fs = yield* FileSystem.FileSystem
  const incoming = join(directory, INCOMING)
  const pathOf = (key: BlobKey): string => join(directory, key)

  /** A new name is durable only after its folder is flushed. */
  const flushFolder = (path: string) => Effect.scoped(Effect.flatMap(fs.open(path), (folder) => folder.sync))

  const clear = Effect.gen(function* () {
    const now = yield* Clock.currentTimeMillis
    for (const name of yield* fs.readDirectory(incoming)) {
      const path = join(incoming, name)
      const info = yield* orAbsent(fs.stat(path))
      if (info !== undefined && modifiedAt(info) < now - LEFT_BEHIND_AFTER) yield* fs.remove(path, { force: true })
    }
  })
  yield* fs
    .makeDirectory(incoming, { recursive: true, mode: 0o700 })
    .pipe(Effect.andThen(clear), unavailable("open its directory"))

  const put: BlobStore["Service"]["put"] = Effect.fn("BlobStore.put")(function* (key, bytes, maxBytes) {
    const saving = unavailable("store a file")
    const measured = measure(bytes, maxBytes)
    const temporary = join(incoming, crypto.randomUUID())
    const folder = dirname(pathOf(key))
    yield* Effect.addFinalizer(() => Effect.ignore(fs.remove(temporary, { force: true })))
    const file = yield* saving(fs.open(temporary, { flag: "wx", mode: 0o600 }))
    yield* Stream.runForEach(measured.bytes, (chunk) => saving(file.writeAll(chunk)))
    yield* Effect.gen(function* () {
      yield* file.sync
      yield* fs.makeDirectory(folder, { recursive: true, mode: 0o700 })
      yield* fs.rename(temporary, pathOf(key))
      yield* flushFolder(folder)
      yield* flushFolder(directory)
    }).pipe(saving)
    return measured.stored()
  }, Effect.scoped)

  const get = Effect.fn("BlobStore.get")(function* (key: BlobKey, range?: BlobRange) {
    const file = yield* orAbsent(fs.open(pathOf(key)))
    if (file === undefined) return undefined
    const size = Number((yield* file.stat).size)
    const start = range?.offset ?? 0
    const end = range === undefined ? size : Math.min(size, start + range.length)
    const bytes = Stream.paginate(start, (position) =>
      file.readAlloc(Math.min(READ_BYTES, end - position), { position: BigInt(position) }).pipe(
        unavailable("read a file"),
        Effect.flatMap((chunk) =>
          // The file had `size` bytes and is never written to, so it is shorter only if the disk lost a part.
          Option.isNone(chunk)
            ? Effect.fail(new BlobStoreUnavailable({ operation: "read a file", cause: new Error("it ends early") }))
            : Effect.succeed([
                [chunk.value],
                position + chunk.value.length < end ? Option.some(position + chunk.value.length) : Option.none()
              ] as const)
        )
      )
    )
    return { size, bytes: start < end ? bytes : Stream.empty }
  }, unavailable("open a file"))

  const entriesOf = Effect.fnUntraced(function* (group: string) {
    const entries: Array<BlobEntry> = []
    const folder = join(directory, group)
    if ((yield* orAbsent(fs.stat(folder)))?.type !== "Directory") return entries
    for (const name of (yield* orAbsent(fs.readDirectory(folder))) ?? []) {
      const key = `${group}/${name}`
      const info = isBlobKey(key) ? yield* orAbsent(fs.stat(pathOf(key))) : undefined
      if (isBlobKey(key) && info?.type === "File") {
        entries.push({ key, size: Number(info.size), modifiedAt: modifiedAt(info) })
      }
    }
    return entries
  })

  return BlobStore.of({
    put,
    get,
    stat: (key) =>
      orAbsent(fs.stat(pathOf(key))).pipe(
        Effect.map((info) => (info === undefined ? undefined : { size: Number(info.size) })),
        unavailable("find a file")
      ),
    delete: (key) =>
      fs
        .remove(pathOf(key), { force: true })
        .pipe(Effect.andThen(orAbsent(flushFolder(dirname(pathOf(key))))), unavailable("delete a file")),
    list: Stream.fromIterableEffect(fs.readDirectory(directory)).pipe(
      Stream.filter((group) => isBlobKey(`${group}/-`)),
      Stream.mapEffect(entriesOf),
      Stream.flatMap(Stream.fromArray),
      Stream.mapError((cause) => new BlobStoreUnavailable({ operation: "list its files", cause }))
    )
  })
})

const isBlobKey = Schema.is(BlobKey)

const unavailable =
  (operation: string) =>
  <A, E, R>(effect: Effect.Effect<A, E, R>) =>
    Effect.mapError(effect, (cause) => new BlobStoreUnavailable({ operation, cause }))

const orAbsent = <A, R>(effect: Effect.Effect<A, PlatformError.PlatformError, R>) =>
  Effect.catch(effect, (error) => (error.reason._tag === "NotFound" ? Effect.succeed(undefined) : Effect.fail(error)))

const modifiedAt = (info: FileSystem.File.Info): number => Option.getOrUndefined(info.mtime)?.getTime() ?? 0
