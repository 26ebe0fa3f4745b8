/** The payloads of a library in slices, each of which is summed within some milliseconds: the one connection blocks the process. */

/** Streams of one page. */
export const COUNTED_STREAMS = 500
/** Events of one slice. */
const COUNTED_EVENTS = 1000

export interface StreamSize {
  readonly stream_id: string
  readonly stream_number: number
  readonly version: number
}

/** The events of one stream with a greater version than `after`, up to `until`. */
type Range = readonly [streamNumber: number, after: number, until: number]

/** The bytes of a slice: its ranges are the parameter, as JSON. */
export const SUM_OF_SLICE = `SELECT coalesce(sum(p.bytes), 0) AS bytes FROM json_each(?) r
  JOIN events e ON e.stream_number = r.value->>0 AND e.version > r.value->>1 AND e.version <= r.value->>2
  JOIN payloads p ON p.position = e.position`

/** Cuts the events of streams into slices. */
export function* slicesOf(streams: ReadonlyArray<StreamSize>): Generator<ReadonlyArray<Range>> {
  let [slice, room]: [Array<Range>, number] = [[], COUNTED_EVENTS]
  for (const { stream_number, version } of streams) {
    for (let after = 0; after < version; ) {
      const until = Math.min(version, after + room)
      slice.push([stream_number, after, until])
      room -= until - after
      after = until
      if (room > 0) continue
      yield slice
      ;[slice, room] = [[], COUNTED_EVENTS]
    }
  }
  if (slice.length > 0) yield slice
}
