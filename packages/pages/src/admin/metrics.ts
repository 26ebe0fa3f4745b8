/** Figures of the server's process over the last minutes, from readings of the metrics that `/metrics` serves. */
import { useEffect, useState } from "preact/hooks"
import { quantileOf, type Reading, readMetrics, sumOf } from "../../../server/src/metrics/Readings.ts"
import { getText, Refusal } from "./api.ts"

interface Sample {
  readonly at: number
  readonly reading: Reading
}

const INTERVAL = 2000
/** Five minutes of readings. */
const SAMPLES = 150

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
  between(samples, (before, after) => quantileOf(before, after, name, share))

const between = (
  samples: ReadonlyArray<Sample>,
  figure: (before: Reading, after: Reading, seconds: number) => Point
): ReadonlyArray<Point> =>
  samples.map(({ at, reading }, i) => {
    const before = samples[i - 1]
    return before && figure(before.reading, reading, (at - before.at) / 1000)
  })

export type Samples = ReadonlyArray<Sample>
