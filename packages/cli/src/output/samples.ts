/** Figures of a server from two readings of its metrics. */

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

/** The smallest bound of a histogram below which a share of what was observed between two readings lies, in its unit. */
export const quantileOf = (before: Reading, after: Reading, name: string, share: number): number | undefined => {
  const buckets: Array<{ readonly bound: number; readonly count: number }> = []
  for (const [series, value] of after) {
    const bound = series.startsWith(`${name}_bucket{`) ? /le="([^"]+)"/.exec(series)?.[1] : undefined
    if (bound === undefined) continue
    buckets.push({
      bound: bound === "+Inf" ? Number.POSITIVE_INFINITY : Number(bound),
      count: value - (before.get(series) ?? 0)
    })
  }
  buckets.sort((a, b) => a.bound - b.bound)
  const all = buckets.at(-1)?.count ?? 0
  return all === 0 ? undefined : buckets.find(({ count }) => count >= all * share)?.bound
}
