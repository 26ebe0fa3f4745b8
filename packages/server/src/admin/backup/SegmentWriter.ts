/** Writes events into segments: frames that can be read one by one, and their index as the last one. */
import { Effect } from "effect"
import { advance, DELETED, endsGeneration, purgesBefore, type StreamKey } from "../../domain/Stream.ts"
import type { BlobStore, BlobStoreUnavailable } from "../../ports/BlobStore.ts"
import type { PlacedEvent } from "../../ports/EventLog.ts"
import { eventLine } from "../transfer/Format.ts"
import type { BackupIndex, PlacedRun } from "./BackupIndex.ts"
import { type BackupUnusable, frameOf, indexFrame, newName, type Segment, writePart } from "./Format.ts"

/** Characters of a frame before it is compressed: what a reader of one stream reads besides it. A longer line is a frame. */
const FRAME_CHARACTERS = 256 * 1024
/** Compressed bytes of a segment, and so of an object in the store. */
const SEGMENT_BYTES = 16 * 1024 * 1024

type Mutable<A> = { -readonly [K in keyof A]: A[K] }

/** Events are added in the order of each stream's versions. `finish` stores the last segment. */
export const makeSegmentWriter = (store: BlobStore["Service"], number: number, index?: BackupIndex) => {
  const segments: Array<Segment> = []
  let segment = {
    name: newName("segments", number),
    frames: [] as Array<Buffer>,
    bytes: 0,
    runs: [] as Array<PlacedRun>
  }
  /** The last event ended its stream's generation: what follows is a run of its own, so that a deletion covers whole runs. */
  let isEnded = false
  let frame = { lines: [] as Array<string>, characters: 0, runs: [] as Array<Mutable<PlacedRun>> }

  const closeFrame = Effect.gen(function* () {
    if (frame.lines.length === 0) return
    const bytes = yield* frameOf(frame.lines.join(""))
    for (const run of frame.runs) {
      run.at = segment.bytes
      run.length = bytes.length
    }
    segment.runs.push(...frame.runs)
    segment.frames.push(bytes)
    segment.bytes += bytes.length
    frame = { lines: [], characters: 0, runs: [] }
    if (segment.bytes >= SEGMENT_BYTES) yield* closeSegment
  })

  const closeSegment: Effect.Effect<void, BackupUnusable | BlobStoreUnavailable> = Effect.gen(function* () {
    if (segment.frames.length === 0) return
    const { frames, name, runs, bytes: indexAt } = segment
    const bytes = Buffer.concat([...frames, yield* indexFrame(runs.map(({ segment: _, ...run }) => run))])
    segments.push({ ...(yield* writePart(store, name, bytes)), indexAt })
    segment = { name: newName("segments", number), frames: [], bytes: 0, runs: [] }
  })

  const add = Effect.fnUntraced(function* (key: StreamKey, placed: PlacedEvent) {
    const { event, payload } = placed
    const line = eventLine(key, placed)
    const last = frame.runs.at(-1)
    const { generation } = advance({ version: 0, generation: event.generation, chain: "" }, event)
    const isNext = !isEnded && last?.streamId === key.streamId && last.libraryId === key.libraryId
    isEnded = endsGeneration(event.type)
    const run: Mutable<PlacedRun> = isNext
      ? last
      : {
          ...{ libraryId: key.libraryId, streamId: key.streamId, from: event.version, to: 0, generation: 0 },
          ...{ chain: event.chain, checkpoint: 0, purges: 0, deletes: false, payloads: 0 },
          ...{ recordedFrom: event.recordedAt, recordedTo: 0, at: 0, length: 0, segment: segment.name }
        }
    run.to = event.version
    run.generation = generation
    run.chain = event.chain
    if (event.checkpoint) run.checkpoint = event.version
    run.purges = Math.max(run.purges, purgesBefore(event))
    run.deletes = event.type === DELETED
    if (payload !== null) run.payloads += 1
    run.recordedTo = event.recordedAt
    if (!isNext) {
      frame.runs.push(run)
      index?.add(run)
    }
    frame.lines.push(line)
    frame.characters += line.length
    if (frame.characters >= FRAME_CHARACTERS) yield* closeFrame
  })

  /** Returns all segments that were written. */
  const finish = Effect.gen(function* () {
    yield* closeFrame
    yield* closeSegment
    return segments as ReadonlyArray<Segment>
  })

  return { add, finish }
}
