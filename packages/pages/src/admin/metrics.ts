/** Figures of the server's process over the last minutes, from readings of the metrics that `/metrics` serves. */
import { useEffect, useState } from "preact/hooks"
import { getText, Refusal } from "./api.ts"

type Reading = ReadonlyMap<string, number>

interface Sample {
  readonly at: number
  readonly reading: Reading
}

const INTERVAL = 2000
/** Five minutes of readings. */
const SAMPLES = 150

const readMetrics = (text: string): Reading => {
  const series = new Map<string, number>()
  for (const line of text.split("\n")) {
    if (line === "" || line.startsWith("#")) continue
    const end = line.lastIndexOf(" ")
    series.set(line.slice(0, end), Number(line.slice(end + 1)))
  }
  return series
}

/** Reads the metrics every two seconds, as long as the page is open. */
export const useSamples = (isOn: boolean): ReadonlyArray<Sample> => {
  const [samples, setSamples] = useState<ReadonlyArray<Sample>>([])
  useEffect(() => {
    if (!isOn) return setSamples([])
    let isOver = false
    let timer: ReturnType<typeof setTimeout> | undefined
    const read = async () => {
      try {
        const reading = readMetrics(await getText("/metrics"))
        if (!isOver) setSamples((before) => [...before.slice(1 - SAMPLES), { at: Date.now(), reading }])
      } catch (error) {
        if (!(error instanceof Refusal)) throw error
      }
      if (!isOver) timer = setTimeout(read, INTERVAL)
    }
    void read()
    return () => {
      isOver = true
      clearTimeout(timer)
    }
  }, [isOn])
  return samples
}

const sumOf = (reading: Reading, name: string, label = ""): number => {
  let sum = 0
  for (const [series, value] of reading) {
    if (series === name || (series.startsWith(`${name}{`) && series.includes(label))) sum += value
  }
  return sum
}

type Point = number | undefined

/** The value of a gauge at each reading. */
export const gauge = (samples: ReadonlyArray<Sample>, name: string, label?: string): ReadonlyArray<Point> =>
  samples.map(({ reading }) => sumOf(reading, name, label))

/** The growth of a counter in a second, before each reading. A process that started again begins at zero. */
export const rate = (samples: ReadonlyArray<Sample>, name: string, label?: string): ReadonlyArray<Point> =>
  between(samples, (before, after, seconds) =>
    Math.max(0, (sumOf(after, name, label) - sumOf(before, name, label)) / seconds)
  )

/** The value in seconds below which a share of a histogram's observations lies; undefined: there were none. */
export const quantile = (samples: ReadonlyArray<Sample>, name: string, share: number): ReadonlyArray<Point> =>
  between(samples, (before, after) => {
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
        if (!Number.isFinite(bound) || count === below) return low
        return low + ((bound - low) * (wanted - below)) / (count - below)
      }
      ;[low, below] = [bound, count]
    }
    return low
  })

const between = (
  samples: ReadonlyArray<Sample>,
  figure: (before: Reading, after: Reading, seconds: number) => Point
): ReadonlyArray<Point> =>
  samples.map(({ at, reading }, i) => {
    const before = samples[i - 1]
    return before && figure(before.reading, reading, (at - before.at) / 1000)
  })

export type Samples = ReadonlyArray<Sample>
