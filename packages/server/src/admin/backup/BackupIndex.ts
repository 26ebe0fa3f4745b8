/** The streams of a backup, and where their events are: in memory, some 300 bytes for each stream and backup that changed it. */
import { emptyHead, type StreamHead, type StreamKey, streamName } from "../../domain/Stream.ts"
import type { StreamSummary } from "../../ports/EventLog.ts"
import { makeTally } from "../transfer/Format.ts"
import type { Run } from "./Format.ts"

export interface PlacedRun extends Run {
  /** The segment that holds it. */
  readonly segment: string
}

export interface IndexedStream {
  readonly key: StreamKey
  /** In the order of versions. */
  readonly runs: Array<PlacedRun>
}

export type BackupIndex = ReturnType<typeof makeBackupIndex>

export const makeBackupIndex = () => {
  const streams = new Map<string, IndexedStream>()
  /** In the order of (library, stream), by UTF-8 bytes; undefined after a stream was added. */
  let sorted: ReadonlyArray<IndexedStream> | undefined

  const add = (run: PlacedRun): void => {
    const key: StreamKey = { libraryId: run.libraryId as StreamKey["libraryId"], streamId: run.streamId }
    const stream = streams.get(streamName(key))
    if (stream !== undefined) stream.runs.push(run)
    else {
      streams.set(streamName(key), { key, runs: [run] })
      sorted = undefined
    }
  }

  const all = (): ReadonlyArray<IndexedStream> => {
    sorted ??= Array.from(streams.values(), (stream) => ({ stream, name: sortedBy(stream.key) }))
      .sort((a, b) => Buffer.compare(a.name, b.name))
      .map(({ stream }) => stream)
    return sorted
  }

  /** The streams after a key. */
  const after = (key: StreamKey | undefined): ReadonlyArray<IndexedStream> => {
    if (key === undefined) return all()
    const name = sortedBy(key)
    let [low, high] = [0, all().length]
    while (low < high) {
      const middle = (low + high) >> 1
      if (Buffer.compare(sortedBy(all()[middle]!.key), name) <= 0) low = middle + 1
      else high = middle
    }
    return all().slice(low)
  }

  return {
    add,
    all,
    after,
    get: (key: StreamKey): IndexedStream | undefined => streams.get(streamName(key)),
    /** The number of streams and events, and one hash over all heads. */
    tally: () => {
      const tally = makeTally()
      for (const stream of all()) tally.end(stream.key, headOf(stream))
      return tally.trailer().end
    }
  }
}

/** A library's id holds no control character, so no other pair of ids gives the same bytes. */
const sortedBy = ({ libraryId, streamId }: StreamKey): Buffer => Buffer.from(`${libraryId}\0${streamId}`)

export const headOf = (stream: IndexedStream | undefined): StreamHead => {
  const last = stream?.runs.at(-1)
  return last === undefined ? emptyHead : { version: last.to, generation: last.generation, chain: last.chain }
}

/** Payloads of events with a smaller version were purged by an event of the backup. */
export const purgedBefore = ({ runs }: IndexedStream): number =>
  runs.reduce((most, { purges }) => Math.max(most, purges), 0)

/** Without the number and sizes of payloads. */
export const summaryOf = (stream: IndexedStream): StreamSummary => ({
  ...headOf(stream),
  key: stream.key,
  checkpoint: stream.runs.reduce((newest, { checkpoint }) => Math.max(newest, checkpoint), 0),
  // An eviction and a deletion purge all before themselves.
  ended: purgedBefore(stream) === headOf(stream).version,
  payloads: 0,
  payloadBytes: 0,
  tailBytes: 0,
  createdAt: stream.runs[0]?.recordedFrom ?? 0,
  updatedAt: stream.runs.at(-1)?.recordedTo ?? 0
})
