/** The metrics of a server, as Prometheus reads them. */
import { Effect } from "effect"
import { until } from "../until.ts"

export interface Scrape {
  readonly text: string
  /** The names of all metrics, from their `TYPE` lines. */
  readonly names: ReadonlyArray<string>
  /** The sum of all series with this name whose labels are among the given ones; undefined if there is none. */
  readonly value: (name: string, labels?: Readonly<Record<string, string>>) => number | undefined
}

/** Reads the metrics from their own port. */
export const scrape = ({ metricsPort }: { readonly metricsPort: number | undefined }): Effect.Effect<Scrape> =>
  Effect.map(
    Effect.promise(async () => (await fetch(`http://127.0.0.1:${metricsPort}/metrics`)).text()),
    parse
  )

/** Waits until a metric has risen by `by` since an earlier scrape, at least. Default of `by`: 1. */
export const untilRisen = (
  server: { readonly metricsPort: number | undefined },
  before: Scrape,
  name: string,
  labels: Readonly<Record<string, string>> = {},
  by = 1
): Effect.Effect<void> => {
  let found: number | undefined
  return until(
    `${name} ${JSON.stringify(labels)} rises by ${by} from ${before.value(name, labels)}`,
    Effect.map(scrape(server), ({ value }) => {
      found = value(name, labels)
      return (found ?? 0) >= (before.value(name, labels) ?? 0) + by
    }),
    () => found
  )
}

const parse = (text: string): Scrape => {
  const series = Array.from(text.matchAll(/^([a-z_]+)(?:\{(.*)\})? (\S+)$/gm), ([, name, labels = "", value]) => ({
    name,
    labels: Object.fromEntries(Array.from(labels.matchAll(/(\w+)="([^"]*)"/g), ([, label, of]) => [label, of])),
    value: Number(value)
  }))
  return {
    text,
    names: Array.from(text.matchAll(/^# TYPE (\S+) /gm), ([, name = ""]) => name),
    value: (name, labels = {}) => {
      const fitting = series.filter(
        (one) => one.name === name && Object.entries(labels).every(([label, value]) => one.labels[label] === value)
      )
      return fitting.length === 0 ? undefined : fitting.reduce((sum, { value }) => sum + value, 0)
    }
  }
}
