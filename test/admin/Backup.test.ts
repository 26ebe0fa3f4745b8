/** Backups of a log in memory, in a folder: what they hold, when the log or the backup changes, and what a restore gives back. */
import {
  copyFileSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync
} from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { layerFileSystem } from "@sealog/server/adapters/FileSystemBlobStore"
import { layerMemory as layerMemoryBlobs } from "@sealog/server/adapters/MemoryBlobStore"
import { type BackupOptions, type BackupPlace, backup, listBackups } from "@sealog/server/admin/Backup"
import { deleteForGood } from "@sealog/server/admin/Deletion"
import { evict } from "@sealog/server/admin/Eviction"
import { replay } from "@sealog/server/admin/Replay"
import { type RestoreOptions, restore, verifyBackup } from "@sealog/server/admin/Restore"
import { logEpoch } from "@sealog/server/admin/Restored"
import { revoke, suspend } from "@sealog/server/admin/Revocation"
import { blake2b256 } from "@sealog/server/domain/Blake2b"
import { FileId, LibraryId, UserId } from "@sealog/server/domain/Ids"
import { emptyHead, place, type StreamKey } from "@sealog/server/domain/Stream"
import * as VerdantEvents from "@sealog/server/domain/verdant/Events"
import { BlobStore } from "@sealog/server/ports/BlobStore"
import { EventLog } from "@sealog/server/ports/EventLog"
import { newBlobKey } from "@sealog/server/protocols/verdant/files/BlobKeys"
import { makeAuthor } from "@sealog/server/testing"
import { Context, Effect, Layer, Stream } from "effect"
import {
  append,
  changed,
  document,
  history,
  holdings,
  interposed,
  key,
  type Log,
  memory,
  on,
  snapshot,
  store,
  update
} from "./support.ts"

const other: StreamKey = { libraryId: LibraryId.make("other"), streamId: "plan" }

const folderOf = (directory: string) =>
  Effect.map(Layer.build(layerFileSystem({ directory })), (services) => Context.get(services, BlobStore))

/** An empty place for backups, and its folder. */
const freshPlace = Effect.gen(function* () {
  const folder = yield* Effect.acquireRelease(
    Effect.sync(() => mkdtempSync(join(tmpdir(), "sealog-backup-"))),
    (folder) => Effect.sync(() => rmSync(folder, { recursive: true, force: true }))
  )
  const opened: BackupPlace = {
    log: yield* folderOf(join(folder, "log")),
    files: yield* folderOf(join(folder, "files"))
  }
  return { folder, place: opened }
})

const blobs = Effect.map(Layer.build(Layer.fresh(layerMemoryBlobs)), (services) => Context.get(services, BlobStore))

const backedUp = (log: Log, to: BackupPlace, options?: BackupOptions) => on(log, backup(to, options))
const verified = (log: Log, from: BackupPlace, number?: number) => on(log, verifyBackup(from, { number }))

/** Restores into a fresh log, and returns it. */
const restored = Effect.fnUntraced(function* (from: BackupPlace, options?: RestoreOptions) {
  const to = yield* memory
  return { log: to, report: yield* on(to, restore(from, to, options)) }
})

/** The streams without the log's own, which begins an epoch. */
const streamsOf = (log: Log) =>
  Effect.map(on(log, holdings), (held) => held.filter(({ streamId }) => streamId !== "@log"))

const requireRestores = Effect.fnUntraced(function* (from: BackupPlace, log: Log) {
  const found = yield* restored(from)
  assert.deepStrictEqual(yield* streamsOf(found.log), yield* streamsOf(log))
  return found
})

/** Every text that the place's segments hold, decompressed. */
const segmentsOf = (folder: string) => readdirSync(join(folder, "log/segments")).toSorted()

const verdant: StreamKey = { libraryId: key.libraryId, streamId: VerdantEvents.VERDANT }

/** Records a file without checking any rule, after its bytes were stored. */
const upload = Effect.fnUntraced(function* (log: Log, files: BlobStore["Service"], name: string, content: string) {
  const fileId = FileId.make(name)
  const blob = newBlobKey(verdant.libraryId, fileId)
  const stored = yield* files.put(blob, Stream.make(Buffer.from(content)), 1000)
  yield* record(log, {
    _tag: "FileStored",
    fileId,
    name,
    type: "text/plain",
    userId: UserId.make("ada"),
    blob,
    ...stored
  })
  return blob
})

const record = Effect.fnUntraced(function* (log: Log, event: VerdantEvents.LibraryEvent) {
  const service = Context.get(log, EventLog)
  const [head = emptyHead] = yield* service.heads([verdant])
  const placed = place(verdant, head, VerdantEvents.toNewEvent(event, ""), "test", 0)
  yield* service.append([{ key: verdant, expectedVersion: head.version, events: [{ event: placed, payload: null }] }])
})

describe("backup", () => {
  it.effect("restores every stream, verified, and begins an epoch", () =>
    Effect.gen(function* () {
      const [log, { place }] = [yield* memory, yield* freshPlace]
      yield* on(log, store(emptyHead, history(makeAuthor())))
      yield* on(log, suspend(key.libraryId))
      yield* on(log, revoke({ userId: "ada" }))
      const report = yield* backedUp(log, place)
      assert.deepInclude(report, { number: 1, streams: 3, events: 8, written: 8, filesMissing: 0, problemCount: 0 })
      const { log: to, report: found } = yield* requireRestores(place, log)
      assert.deepInclude(found, { number: 1, events: 8, problemCount: 0, epoch: 2 })
      assert.deepInclude(yield* on(to, replay()), { problemCount: 0 })
      assert.isFalse((yield* on(to, logEpoch())).restored?.noticed)
      assert.deepInclude(yield* verified(log, place), { events: 8, payloads: 6, problemCount: 0, damagedParts: [] })
    })
  )

  it.effect("writes only what was added since the backup before, and every backup restores by its number", () =>
    Effect.gen(function* () {
      const [log, { folder, place }] = [yield* memory, yield* freshPlace]
      yield* on(log, append(key, document(1200)))
      yield* on(log, append(other, document(3)))
      yield* backedUp(log, place)
      const first = yield* streamsOf(log)
      const segments = segmentsOf(folder)
      yield* on(log, append(key, [update(1200), update(1201)]))
      yield* on(log, append({ ...key, streamId: "new" }, document(1)))
      assert.deepInclude(yield* backedUp(log, place), { number: 2, written: 4, events: 1209 })
      assert.deepInclude(yield* backedUp(log, place), { number: 3, written: 0, bytes: 0, events: 1209 })
      assert.includeMembers(segmentsOf(folder), segments)
      assert.lengthOf(segmentsOf(folder), segments.length + 1)
      yield* requireRestores(place, log)
      assert.deepStrictEqual(yield* streamsOf((yield* restored(place, { number: 1 })).log), first)
      const listed = yield* listBackups(place)
      assert.deepStrictEqual(
        listed.map(({ number, events, written }) => ({ number, events, written })),
        [
          { number: 1, events: 1205, written: 1205 },
          { number: 2, events: 1209, written: 4 },
          { number: 3, events: 1209, written: 0 }
        ]
      )
    })
  )

  it.effect("brings back no payload that was pruned or evicted after an earlier backup", () =>
    Effect.gen(function* () {
      const [log, { place }] = [yield* memory, yield* freshPlace]
      yield* on(log, append(key, [...document(20), snapshot("second"), update(0, "second")]))
      yield* on(log, append(other, document(20)))
      yield* backedUp(log, place)
      yield* on(log, append(key, [{ _tag: "Pruned", before: 22 }, update(1, "second")]))
      yield* on(log, evict({ libraryId: other.libraryId }))
      yield* on(log, append(other, [snapshot("again")]))
      yield* backedUp(log, place)
      const { log: to } = yield* requireRestores(place, log)
      const held = Object.fromEntries((yield* on(to, holdings)).map(({ streamId, payloads }) => [streamId, payloads]))
      assert.deepInclude(held, { welcome: 3, plan: 1 })
      // The backup before still holds them.
      const before = yield* restored(place, { number: 1 })
      assert.strictEqual((yield* on(before.log, holdings)).find(({ streamId }) => streamId === "plan")?.payloads, 21)
    })
  )

  it.live("writes segments again without the payloads of a document that was deleted for good", () =>
    Effect.gen(function* () {
      const [log, { folder, place }] = [yield* memory, yield* freshPlace]
      yield* on(log, append(key, document(3)))
      yield* on(log, append(other, document(3)))
      yield* backedUp(log, place)
      const [old = ""] = segmentsOf(folder)
      yield* on(log, deleteForGood({ libraryId: key.libraryId, documentId: key.streamId as never }))
      assert.deepInclude(yield* backedUp(log, place), { number: 2, erasedSegments: 1, problemCount: 0 })
      assert.deepInclude(yield* verified(log, place), { events: 10, payloads: 4, damagedParts: [] })
      yield* requireRestores(place, log)
      const manifest = JSON.parse(readFileSync(join(folder, "log/manifests/000002.json"), "utf8"))
      assert.notInclude(JSON.stringify(manifest), old)
      // Nothing more is erased the next time.
      yield* on(log, append(other, [update(3)]))
      assert.deepInclude(yield* backedUp(log, place), { number: 3, erasedSegments: 0 })
      yield* requireRestores(place, log)
      // When the operator deletes the old manifest, the next backup deletes what it alone named.
      rmSync(join(folder, "log/manifests/000001.json"))
      const long = new Date(Date.now() - 2 * 24 * 60 * 60 * 1000)
      for (const name of segmentsOf(folder)) utimesSync(join(folder, "log/segments", name), long, long)
      yield* backedUp(log, place)
      assert.notInclude(segmentsOf(folder), old)
      assert.deepInclude(yield* verified(log, place), { payloads: 5, damagedParts: [] })
      assert.deepInclude(yield* verified(log, place, 2), { payloads: 4, damagedParts: [] })
    })
  )

  it.effect("that is cut off anywhere leaves the last complete one, and the next one continues from there", () =>
    Effect.gen(function* () {
      const [log, { place }] = [yield* memory, yield* freshPlace]
      yield* on(log, append(key, document(10)))
      yield* backedUp(log, place)
      const first = yield* streamsOf(log)
      yield* on(log, append(key, [update(10)]))
      for (const cut of ["segments", "lists", "manifests"]) {
        const failing: BackupPlace = {
          ...place,
          log: {
            ...place.log,
            put: (name, bytes, max) => (name.startsWith(cut) ? Effect.die("cut") : place.log.put(name, bytes, max))
          }
        }
        assert.isTrue((yield* Effect.exit(backedUp(log, failing)))._tag === "Failure")
        assert.lengthOf(yield* listBackups(place), 1)
        assert.deepStrictEqual(yield* streamsOf((yield* restored(place)).log), first)
      }
      assert.deepInclude(yield* backedUp(log, place), { number: 2, written: 1 })
      yield* requireRestores(place, log)
    })
  )

  it.effect("holds what a stream gains while it is read, and no payload that an eviction takes in between", () =>
    Effect.gen(function* () {
      for (const page of [1, 2, 3, 4]) {
        const [log, { place }] = [yield* memory, yield* freshPlace]
        yield* on(log, append(key, document(1700)))
        const watched = interposed(log, "read", page, on(log, evict({ libraryId: key.libraryId })))
        assert.deepInclude(yield* backedUp(watched, place), { problemCount: 0 })
        const { report } = yield* requireRestores(place, log)
        assert.strictEqual(report.payloads, 0)
      }
    })
  )

  it.effect("refuses a log that does not continue the last backup, and names the version", () =>
    Effect.gen(function* () {
      const [log, another, { place }] = [yield* memory, yield* memory, yield* freshPlace]
      yield* on(log, append(key, document(10)))
      yield* backedUp(log, place)
      yield* on(another, append(key, document(4)))
      const error = yield* Effect.flip(backedUp(another, place))
      assert.deepInclude(error, { _tag: "StreamDiverged", version: 6 })
      yield* on(another, append(key, document(20).slice(5), { recordedAt: 7 }))
      assert.deepInclude(yield* Effect.flip(backedUp(another, place)), { _tag: "StreamDiverged", version: 6 })
      assert.lengthOf(yield* listBackups(place), 1)
    })
  )

  it.effect("refuses a damaged log, and keeps the last backup", () =>
    Effect.gen(function* () {
      const [log, { place }] = [yield* memory, yield* freshPlace]
      yield* on(log, append(key, document(3)))
      yield* backedUp(log, place)
      yield* on(log, append(key, [update(3)]))
      const damaged = changed(log, (service) => ({
        read: (at, options) =>
          Effect.map(service.read(at, options), (page) =>
            page.map((placed) => (placed.event.version < 5 ? placed : { ...placed, payload: Buffer.from("other") }))
          )
      }))
      assert.deepInclude(yield* Effect.flip(backedUp(damaged, place)), { _tag: "StreamDamaged", version: 5 })
      assert.lengthOf(yield* listBackups(place), 1)
    })
  )

  it.effect("is verified: a part that was damaged or removed is named, and a restore of it fails", () =>
    Effect.gen(function* () {
      const [log, { folder, place }] = [yield* memory, yield* freshPlace]
      yield* on(log, store(emptyHead, history(makeAuthor())))
      yield* backedUp(log, place)
      const [name = ""] = segmentsOf(folder)
      const file = join(folder, "log/segments", name)
      const sound = readFileSync(file)
      for (const at of [10, Math.floor(sound.length / 3), sound.length - 10]) {
        const bytes = Buffer.from(sound)
        bytes[at]! ^= 0xff
        writeFileSync(file, bytes)
        const report = yield* verified(log, place)
        assert.deepStrictEqual(
          report.damagedParts.map(({ part }) => part),
          [`log/segments/${name}`]
        )
        const to = yield* memory
        const error = yield* Effect.flip(on(to, restore(place, to)))
        assert.include(error.message, `log/segments/${name}`)
        assert.deepStrictEqual(yield* on(to, holdings), [])
      }
      rmSync(file)
      assert.deepInclude(yield* verified(log, place), {
        damagedParts: [{ part: `log/segments/${name}`, detail: "it is missing" }]
      })
      writeFileSync(file, sound)
      assert.deepInclude(yield* verified(log, place), { damagedParts: [], problemCount: 0 })
      writeFileSync(join(folder, "log/manifests/000001.json"), "{}")
      assert.include((yield* Effect.flip(verified(log, place))).message, "log/manifests/000001.json")
    })
  )

  it.effect("is a file of JSON lines for zstd, so that it can be read without Sealog", () =>
    Effect.gen(function* () {
      const [log, { folder, place }] = [yield* memory, yield* freshPlace]
      yield* on(log, append(key, document(2)))
      yield* backedUp(log, place)
      const [name = ""] = segmentsOf(folder)
      const { segments } = JSON.parse(readFileSync(join(folder, "log/manifests/000001.json"), "utf8"))
      const { zstdDecompressSync } = yield* Effect.promise(() => import("node:zlib"))
      const bytes = readFileSync(join(folder, "log/segments", name))
      assert.strictEqual(segments[0].hash, blake2b256(bytes))
      const lines = zstdDecompressSync(bytes.subarray(0, segments[0].indexAt)).toString().trimEnd().split("\n")
      assert.deepStrictEqual(
        lines.map((line) => JSON.parse(line).version),
        [1, 2, 3]
      )
    })
  )
})

describe("files in a backup", () => {
  it.effect("come back with the log that names them, and are copied once", () =>
    Effect.gen(function* () {
      const [log, files, { place }] = [yield* memory, yield* blobs, yield* freshPlace]
      const one = yield* upload(log, files, "one", "the first")
      assert.deepInclude(yield* backedUp(log, place, { files }), { files: 1, fileBytes: 9, filesMissing: 0 })
      const two = yield* upload(log, files, "two", "the second")
      assert.deepInclude(yield* backedUp(log, place, { files }), { files: 1, fileBytes: 10, filesMissing: 0 })
      const target = yield* blobs
      const { report } = yield* restored(place, { files: target })
      assert.deepInclude(report, { files: 2, fileBytes: 19, filesMissing: 0, problemCount: 0 })
      for (const [blob, size] of [
        [one, 9],
        [two, 10]
      ] as const) {
        assert.deepStrictEqual(yield* target.stat(blob), { size })
      }
    })
  )

  it.effect("that are replaced during the backup are in it as the log says at its end", () =>
    Effect.gen(function* () {
      const [log, files, { place }] = [yield* memory, yield* blobs, yield* freshPlace]
      const first = yield* upload(log, files, "one", "the first")
      let second = first
      // The file is replaced after the library was read, and before its bytes are.
      const replacing: BlobStore["Service"] = {
        ...files,
        get: (blob, range) =>
          Effect.gen(function* () {
            if (second === first) {
              second = yield* Effect.orDie(upload(log, files, "one", "its successor"))
              yield* files.delete(first)
            }
            return yield* files.get(blob, range)
          })
      }
      const report = yield* backedUp(log, place, { files: replacing })
      assert.deepInclude(report, { events: 2, filesMissing: 0, files: 1 })
      const target = yield* blobs
      yield* restored(place, { files: target })
      assert.deepStrictEqual(yield* target.stat(second), { size: 13 })
    })
  )

  it.effect("that the store has lost or changed are named, and copied once it has them again", () =>
    Effect.gen(function* () {
      const [log, files, { folder, place }] = [yield* memory, yield* blobs, yield* freshPlace]
      const lost = yield* upload(log, files, "lost", "the first")
      const wrong = yield* upload(log, files, "wrong", "the second")
      const put = (blob: typeof lost, text: string) => files.put(blob, Stream.make(Buffer.from(text)), 100)
      yield* files.delete(lost)
      yield* put(wrong, "the 2econd")
      const report = yield* backedUp(log, place, { files })
      assert.deepStrictEqual(
        report.missingFiles.map(({ fileId, detail }) => [fileId, detail]),
        [
          ["lost", "the store does not hold it"],
          ["wrong", "the store holds other bytes than were uploaded"]
        ]
      )
      assert.deepInclude(yield* verified(log, place), { filesMissing: 2, files: 0 })
      yield* put(lost, "the first")
      yield* put(wrong, "the second")
      assert.deepInclude(yield* backedUp(log, place, { files }), { filesMissing: 0, files: 2 })
      assert.deepInclude(yield* verified(log, place), { filesMissing: 0, files: 2 })
      const file = join(folder, "files", wrong)
      copyFileSync(join(folder, "files", lost), file)
      assert.strictEqual(statSync(file).size, 9)
      const [missing] = (yield* verified(log, place)).missingFiles
      assert.deepInclude(missing ?? {}, {
        fileId: "wrong",
        detail: "its bytes in the backup were changed after they were written"
      })
    })
  )
})

describe("restore", () => {
  it.effect("refuses a log or a store that holds something, and touches neither", () =>
    Effect.gen(function* () {
      const [log, files, { place }] = [yield* memory, yield* blobs, yield* freshPlace]
      yield* upload(log, files, "one", "the first")
      yield* backedUp(log, place, { files })
      const held = yield* on(log, holdings)
      assert.deepInclude(yield* Effect.flip(on(log, restore(place, log))), {
        _tag: "TargetNotEmpty",
        target: "database"
      })
      assert.deepStrictEqual(yield* on(log, holdings), held)
      const to = yield* memory
      const error = yield* Effect.flip(on(to, restore(place, to, { files })))
      assert.deepInclude(error, { _tag: "TargetNotEmpty", target: "files" })
      assert.deepStrictEqual(yield* on(to, holdings), [])
    })
  )

  it.effect("says so if there is no backup, or none with that number", () =>
    Effect.gen(function* () {
      const [to, { place }] = [yield* memory, yield* freshPlace]
      assert.include((yield* Effect.flip(on(to, restore(place, to)))).message, "there is no backup here")
      assert.include(
        (yield* Effect.flip(on(to, restore(place, to, { number: 7 })))).message,
        "000007.json: it is missing"
      )
    })
  )
})
