/** Backs up a log and its uploaded files. `backup/Format.ts` has the format; decision 0051 says why the order restores. */
import { Clock, Effect, Stream } from "effect"
import { type StreamKey, streamName } from "../domain/Stream.ts"
import { VERDANT } from "../domain/verdant/Events.ts"
import type { BlobKey, BlobStore } from "../ports/BlobStore.ts"
import { Signals } from "../ports/Signals.ts"
import { Signatures } from "../signatures/Signatures.ts"
import { makeBackedUpFiles } from "./backup/BackedUpFiles.ts"
import { type BackupIndex, makeBackupIndex } from "./backup/BackupIndex.ts"
import { makeBackupLog } from "./backup/BackupLog.ts"
import {
  type BackupPlace,
  damaged,
  eachFrame,
  type ListedFile,
  type Manifest,
  numbersIn,
  readList,
  readManifest,
  type Segment,
  writeList,
  writeManifest
} from "./backup/Format.ts"
import { findBackup, readBackupIndex } from "./backup/readBackup.ts"
import { makeSegmentWriter } from "./backup/SegmentWriter.ts"
import { copyInto } from "./Copy.ts"
import { readLine } from "./transfer/Format.ts"
import type { Problem } from "./verify/Problems.ts"

export { type BackupPlace, BackupUnusable } from "./backup/Format.ts"

export interface BackupOptions {
  /** The servers' store of files. Default: none; the backup then holds no bytes of files. */
  readonly files?: BlobStore["Service"] | undefined
  /** Called after every page. The total is counted when the backup starts. */
  readonly onProgress?: (events: number, total: number) => void
}

export interface MissingFile {
  readonly libraryId: string
  readonly fileId: string
  readonly blob: string
  readonly detail: string
}

export interface BackupReport {
  /** The number of this backup: 1, 2, 3 … */
  readonly number: number
  readonly streams: number
  /** All events that the backup holds. */
  readonly events: number
  /** Events that the backup before did not hold. */
  readonly written: number
  /** Bytes of the new segments. */
  readonly bytes: number
  /** Files that were copied now, and their bytes. */
  readonly files: number
  readonly fileBytes: number
  /** Segments that were written again, because they held payloads of deleted documents and libraries. */
  readonly erasedSegments: number
  /** Files that the log names, and the backup does not hold. */
  readonly filesMissing: number
  /** The first 100. */
  readonly missingFiles: ReadonlyArray<MissingFile>
  /** Payloads that are missing in the log, though no eviction or pruning deleted them. */
  readonly problemCount: number
  readonly problems: ReadonlyArray<Problem>
}

/** The most times that a stream is read again because a file that it names is gone. */
const ROUNDS = 5
const MAX_NAMED = 100

/**
 * Adds a backup to a place: everything since the last one there. Servers may keep writing. It holds everything that was
 * acknowledged before it started. Until it is complete, the place is as before. Fails if the log does not continue the last
 * backup (`StreamDiverged`), or is damaged (`StreamDamaged`).
 */
export const backup = Effect.fn("backup")(function* (place: BackupPlace, { files, onProgress }: BackupOptions = {}) {
  const startedAt = yield* Clock.currentTimeMillis
  const numbers = yield* numbersIn(place.log)
  const last = numbers.length === 0 ? undefined : yield* findBackup(place)
  const number = (last?.number ?? 0) + 1
  const index = last === undefined ? makeBackupIndex() : yield* readBackupIndex(place, last)
  const listed = last === undefined ? [] : yield* readList(place.log, last.files)
  const backedUpFiles = makeBackedUpFiles({ from: files, to: place.files }, listed)
  const writer = makeSegmentWriter(place.log, number, index)
  const target = { log: yield* makeBackupLog(place.log, index, writer.add), signals: yield* noSignals }
  const options = { beforePage: backedUpFiles.take, ...(onProgress && { onProgress }) }

  const copied = yield* copyInto(target, options)
  let { problemCount, problems, written } = copied
  for (let round = 0; round < ROUNDS; round++) {
    const lacking = yield* backedUpFiles.copyMissing
    if (lacking.length === 0) break
    // A file that is gone was replaced or deleted since: the backup then has to hold the event that says so.
    const keys = lacking.map((libraryId): StreamKey => ({ libraryId, streamId: VERDANT }))
    yield* writer.finish
    const more = yield* copyInto(target, { keys, beforePage: backedUpFiles.take })
    problems = [...problems, ...more.problems]
    problemCount += more.problemCount
    written += more.written
    if (more.written === 0) break
  }
  const own = yield* writer.finish
  const erased = yield* erase(place, number, index, [...(last?.segments ?? []), ...own])
  const list = backedUpFiles.list()
  const missing = list.filter(({ held }) => !held)
  const { events, heads, streams } = index.tally()
  const manifest: Manifest = {
    ...{ format: "sealog-backup", version: 1, number, startedAt, endedAt: yield* Clock.currentTimeMillis },
    log: { streams, events, heads, payloadsMissing: (last?.log.payloadsMissing ?? 0) + problemCount },
    written,
    segments: erased.segments,
    files: {
      ...(yield* writeList(place.log, number, list)),
      count: list.length,
      bytes: list.reduce((sum, { size }) => sum + size, 0),
      missing: missing.length
    }
  }
  yield* writeManifest(place.log, manifest)
  yield* sweep(place, manifest, list)
  const { bytes: fileBytes, files: copiedFiles } = backedUpFiles.copied()
  return {
    ...{ number, streams, events, written, bytes: own.reduce((sum, { size }) => sum + size, 0) },
    ...{ files: copiedFiles, fileBytes, erasedSegments: erased.count, filesMissing: missing.length },
    missingFiles: missing.slice(0, MAX_NAMED).map(({ libraryId, fileId, blob }) => ({
      ...{ libraryId, fileId, blob },
      detail: backedUpFiles.isChanged(blob)
        ? "the store holds other bytes than were uploaded"
        : files === undefined
          ? "the store of files was not named"
          : "the store does not hold it"
    })),
    ...{ problemCount, problems }
  } satisfies BackupReport
}, Effect.provide(Signatures.layerInline))

const noSignals = Effect.provide(Signals, Signals.layerNone)

/** Writes segments again that hold payloads of streams which were deleted for good since. */
const erase = Effect.fnUntraced(function* (
  { log }: BackupPlace,
  number: number,
  index: BackupIndex,
  segments: ReadonlyArray<Segment>
) {
  const erasedByStream = new Map<string, number>()
  const affected = new Set<string>()
  for (const { key, runs } of index.all()) {
    const deleted = runs.findLast(({ deletes }) => deletes)?.to ?? 0
    const held = runs.filter(({ payloads, to }) => payloads > 0 && to <= deleted)
    if (held.length === 0) continue
    erasedByStream.set(streamName(key), deleted)
    for (const { segment } of held) affected.add(segment)
  }
  const kept: Array<Segment> = []
  for (const segment of segments) {
    if (!affected.has(segment.name)) {
      kept.push(segment)
      continue
    }
    const writer = makeSegmentWriter(log, number)
    const eraseIn = Effect.fnUntraced(function* (text: string) {
      for (const line of text.split("\n").slice(0, -1)) {
        const read = readLine(line)
        if (read === undefined || "end" in read) return yield* damaged(segment.name, "it is not as a backup wrote it")
        const { key, placed } = read
        const isErased = placed.event.version < (erasedByStream.get(streamName(key)) ?? 0)
        yield* writer.add(key, isErased ? { event: placed.event, payload: null } : placed)
      }
    })
    yield* eachFrame(log, segment, eraseIn)
    kept.push(...(yield* writer.finish))
  }
  return { segments: kept, count: affected.size }
})

/** Younger objects stay: another backup may be writing them, whose manifest is not there yet. */
const GRACE_MILLIS = 24 * 60 * 60 * 1000

/** Deletes what no manifest names: left over from a backup that was killed, or from one whose manifest the operator deleted. */
const sweep = Effect.fnUntraced(function* (place: BackupPlace, newest: Manifest, list: ReadonlyArray<ListedFile>) {
  const oldest = (yield* Clock.currentTimeMillis) - GRACE_MILLIS
  const unnamed = Effect.fnUntraced(function* (store: BlobStore["Service"], named: ReadonlySet<string>) {
    const entries = yield* Stream.runCollect(store.list)
    return entries.filter(({ key, modifiedAt }) => modifiedAt < oldest && !named.has(key)).map(({ key }) => key)
  })
  const partsOf = ({ segments, files }: Manifest) => [...segments.map(({ name }) => name), files.name]
  const parts = new Set<BlobKey>(partsOf(newest))
  const blobs = new Set(list.map(({ blob }) => blob))
  const candidates = [
    (yield* unnamed(place.log, parts)).filter((key) => !key.startsWith("manifests/")),
    yield* unnamed(place.files, blobs)
  ] as const
  if (candidates.every((keys) => keys.length === 0)) return
  const lists = new Set([newest.files.name])
  for (const number of yield* numbersIn(place.log)) {
    if (number === newest.number) continue
    const manifest = yield* readManifest(place.log, number)
    for (const name of partsOf(manifest)) parts.add(name)
    if (candidates[1].length === 0 || lists.has(manifest.files.name)) continue
    lists.add(manifest.files.name)
    for (const { blob } of yield* readList(place.log, manifest.files)) blobs.add(blob)
  }
  for (const key of candidates[0]) if (!parts.has(key)) yield* place.log.delete(key)
  for (const key of candidates[1]) if (!blobs.has(key)) yield* place.files.delete(key)
})

export interface ListedBackup {
  readonly number: number
  /** Milliseconds since 1970. The backup holds everything that was acknowledged before. */
  readonly startedAt: number
  readonly endedAt: number
  readonly streams: number
  readonly events: number
  readonly written: number
  /** Bytes of all segments and files that a restore reads. */
  readonly bytes: number
  readonly files: number
  readonly filesMissing: number
}

/** The complete backups of a place, oldest first. */
export const listBackups = Effect.fn("listBackups")(function* (place: BackupPlace) {
  return yield* Effect.forEach(yield* numbersIn(place.log), (number) =>
    Effect.map(
      readManifest(place.log, number),
      ({ endedAt, files, log, segments, startedAt, written }): ListedBackup => ({
        ...{ number, startedAt, endedAt, streams: log.streams, events: log.events, written },
        bytes: segments.reduce((sum, { size }) => sum + size, 0) + files.bytes,
        ...{ files: files.count, filesMissing: files.missing }
      })
    )
  )
})
