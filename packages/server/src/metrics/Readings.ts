/** Figures of a server from readings of the metrics that `/metrics` serves. The operator's page and `sync-admin top` show them. */

/** The series of one reading: the metric's name with its labels, and its value. */
export type Reading = ReadonlyMap<string, number>

/** Reads Prometheus' text format, as far as Sealog writes it. */
export const readMetrics = (text: string): Reading => {
  const series = new Map<string, number>()
  for (const line of text.split("\n")) {
    if (line === "" || line.startsWith("#")) continue
    const end = line.lastIndexOf(" ")
    series.set(line.slice(0, end), Number(line.slice(end + 1)))
  }
  return series
}

/** The sum of a metric's series whose labels contain a text. */
export const sumOf = (reading: Reading, name: string, label = ""): number => {
  let sum = 0
  for (const [series, value] of reading) {
    if (series === name || (series.startsWith(`${name}{`) && series.includes(label))) sum += value
  }
  return sum
}

/**
 * The value below which a share of a histogram's observations between two readings lies, in the histogram's unit. It is
 * interpolated within its bucket. Undefined: nothing was observed.
 */
export const quantileOf = (before: Reading, after: Reading, name: string, share: number): number | undefined => {
  const buckets = new Map<number, number>()
  for (const [series, value] of after) {
    const bound = series.startsWith(`${name}_bucket{`) ? /le="([^"]+)"/.exec(series)?.[1] : undefined
    if (bound === undefined) continue
    const key = bound === "+Inf" ? Number.POSITIVE_INFINITY : Number(bound)
    buckets.set(key, (buckets.get(key) ?? 0) + value - (before.get(series) ?? 0))
  }
  const sorted = Array.from(buckets).sort(([a], [b]) => a - b)
  const all = sorted.at(-1)?.[1] ?? 0
  if (all <= 0) return undefined
  const wanted = all * share
  let [low, below] = [0, 0]
  for (const [bound, count] of sorted) {
    if (count >= wanted) {
      // The last bucket has no upper bound.
      if (!Number.isFinite(bound) || count === below) return low
      return low + ((bound - low) * (wanted - below)) / (count - below)
    }
    ;[low, below] = [bound, count]
  }
  return low
}
