/** Whether the log continues what its newest checkpoint says of it: every stream still has the chain value that it had. */
import { Effect } from "effect"
import type { LibraryId } from "../domain/Ids.ts"
import { type StreamKey, streamName } from "../domain/Stream.ts"
import { EventLog } from "../ports/EventLog.ts"
import type { Entry } from "./CheckpointFolder.ts"

/** A stream that does not continue its entry. */
export interface Break {
  readonly libraryId: LibraryId
  readonly streamId: string
  /** The version of the entry. */
  readonly version: number
  readonly detail: string
}

export interface Continuity {
  readonly breaks: ReadonlyArray<Break>
  /** The heads of streams that have grown since their entry, or had none. */
  readonly grown: ReadonlyArray<Entry>
}

const PAGE = 500

/** Compares the log with the entries of a checkpoint. Servers may keep writing. */
export const compare = Effect.fn("compareWithCheckpoint")(function* (entries: ReadonlyArray<Entry>) {
  const log = yield* EventLog
  const last = new Map(entries.map((entry) => [nameOf(entry), entry]))
  const breaks: Array<Break> = []
  const grown: Array<Entry> = []
  let after: StreamKey | undefined
  for (let page = PAGE; page === PAGE; ) {
    const streams = yield* log.streams({ limit: PAGE, payloads: false, ...(after && { after }) })
    for (const { chain, key, version } of streams) {
      const entry = last.get(streamName(key))
      last.delete(streamName(key))
      const now = { chain, libraryId: key.libraryId, streamId: key.streamId, version }
      if (entry === undefined) {
        grown.push(now)
        continue
      }
      const chainThen = version === entry.version ? chain : yield* chainAt(log, key, entry.version)
      if (chainThen === entry.chain) {
        if (version > entry.version) grown.push(now)
        continue
      }
      const detail =
        version < entry.version
          ? `the stream ends at version ${version}, and the checkpoint knows version ${entry.version}`
          : "this event and those before it are not the ones that the checkpoint knows"
      breaks.push({ ...key, version: entry.version, detail })
    }
    after = streams.at(-1)?.key
    page = streams.length
  }
  for (const { libraryId, streamId, version } of last.values()) {
    breaks.push({
      libraryId: libraryId as LibraryId,
      streamId,
      version,
      detail: "the stream is gone, and the checkpoint knows it"
    })
  }
  return { breaks, grown } satisfies Continuity
})

const nameOf = ({ libraryId, streamId }: Entry): string => `${libraryId}/${streamId}`

const chainAt = (log: EventLog["Service"], key: StreamKey, version: number) =>
  Effect.map(log.read(key, { after: version - 1, limit: 1, payloads: false }), ([found]) =>
    found?.event.version === version ? found.event.chain : undefined
  )
