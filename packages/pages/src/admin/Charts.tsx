/** Small charts of the process's metrics, drawn as SVG. */
import { useState } from "preact/hooks"
import { bytes, clock, figure } from "./format.ts"
import { gauge, quantile, rate, type Samples } from "./metrics.ts"

interface Series {
  readonly label: string
  readonly points: ReadonlyArray<number | undefined>
}

interface ChartProps {
  readonly title: string
  readonly times: ReadonlyArray<number>
  readonly series: ReadonlyArray<Series>
  readonly show: (value: number) => string
}

const [WIDTH, HEIGHT] = [300, 72]

const Chart = ({ series, show, times, title }: ChartProps) => {
  const [at, setAt] = useState<number | undefined>()
  const known = series.flatMap(({ points }) => points.filter((point) => point !== undefined))
  const top = Math.max(1e-9, ...known) * 1.15
  const x = (i: number) => (times.length < 2 ? WIDTH : (i / (times.length - 1)) * WIDTH)
  const y = (value: number) => HEIGHT - (value / top) * (HEIGHT - 4) - 1
  /** Under the pointer, or the last that was observed. */
  const shownOf = (points: Series["points"]) =>
    at === undefined ? points.findLast((point) => point !== undefined) : points[at]
  const text = (value: number | undefined) => (value === undefined ? "–" : show(value))
  const lines = series.map(({ points }) => pathOf(points, x, y))
  const first = lines[0] ?? { line: "", area: "" }
  const spoken = series.map(({ label, points }) => `${label} ${text(shownOf(points))}`).join(", ")
  return (
    <figure class="chart">
      <figcaption>
        <span>{title}</span>
        <span class="muted small number">{at === undefined ? "" : clock(times[at] ?? 0)}</span>
      </figcaption>
      <p class="values">
        {series.map(({ label, points }, i) => (
          <span key={label} class={`value series-${i}`}>
            <strong class="number">{text(shownOf(points))}</strong>
            <span class="small">{label}</span>
          </span>
        ))}
      </p>
      <svg
        viewBox={`0 0 ${WIDTH} ${HEIGHT}`}
        preserveAspectRatio="none"
        role="img"
        aria-label={`${title}: ${spoken}. Highest in this time: ${known.length === 0 ? "none" : show(Math.max(...known))}.`}
        onPointerMove={({ currentTarget, clientX }) => {
          const { left, width } = currentTarget.getBoundingClientRect()
          const index = Math.round(((clientX - left) / width) * (times.length - 1))
          setAt(Math.min(times.length - 1, Math.max(0, index)))
        }}
        onPointerLeave={() => setAt(undefined)}
      >
        <line class="axis" x1={0} x2={WIDTH} y1={HEIGHT - 0.5} y2={HEIGHT - 0.5} />
        <path class="area" d={first.area} />
        {lines.map(({ line }, i) => (
          <path key={series[i]?.label} class={`line series-${i}`} d={line} />
        ))}
        {at !== undefined && <line class="cursor" x1={x(at)} x2={x(at)} y1={0} y2={HEIGHT} />}
      </svg>
    </figure>
  )
}

/** A line with gaps where nothing was observed, and the area below it. */
const pathOf = (
  points: ReadonlyArray<number | undefined>,
  x: (i: number) => number,
  y: (value: number) => number
): { readonly line: string; readonly area: string } => {
  let [line, area] = ["", ""]
  let last: number | undefined
  points.forEach((point, i) => {
    if (point === undefined) {
      if (last !== undefined) area += `V${HEIGHT}Z`
      last = undefined
      return
    }
    const place = `${x(i).toFixed(1)},${y(point).toFixed(1)}`
    // A dot, if nothing was observed before and after.
    line += last === undefined ? `M${place}h0.1` : `L${place}`
    area += last === undefined ? `M${x(i).toFixed(1)},${HEIGHT}L${place}` : `L${place}`
    last = x(i)
  })
  if (last !== undefined) area += `L${last.toFixed(1)},${HEIGHT}Z`
  return { line, area }
}

const perSecond = (value: number) => `${figure(value)}/s`
const bytesPerSecond = (value: number) => `${bytes(value)}/s`
const millis = (seconds: number) => `${figure(seconds * 1000)} ms`
const percent = (share: number) => `${figure(share * 100)} %`

/** Each kind of chart once: its title, the text of its values, and its series. */
const charts = (samples: Samples) => {
  const both = (make: (label: string) => ReadonlyArray<number | undefined>) => [
    { label: "Secsync", points: make('protocol="secsync"') },
    { label: "Verdant", points: make('protocol="verdant"') }
  ]
  const shares = (name: string) => [
    { label: "99 of 100", points: quantile(samples, name, 0.99) },
    { label: "half", points: quantile(samples, name, 0.5) }
  ]
  return {
    events: {
      title: "Events stored",
      show: perSecond,
      series: [{ label: "", points: rate(samples, "sealog_events_stored_total") }]
    },
    commits: { title: "Commits take", show: millis, series: shares("sealog_commit_seconds") },
    fanOut: { title: "Fan-out takes", show: millis, series: shares("sealog_fan_out_seconds") },
    connections: {
      title: "Connections",
      show: figure,
      series: both((label) => gauge(samples, "sealog_connections", label))
    },
    rooms: { title: "Open rooms", show: figure, series: both((label) => gauge(samples, "sealog_rooms", label)) },
    memory: {
      title: "Memory",
      show: bytes,
      series: [
        { label: "process", points: gauge(samples, "process_resident_memory_bytes") },
        { label: "heap", points: gauge(samples, "sealog_heap_used_bytes") }
      ]
    },
    frames: {
      title: "Frames",
      show: perSecond,
      series: [
        { label: "received", points: rate(samples, "sealog_frames_received_total") },
        { label: "sent", points: rate(samples, "sealog_frames_sent_total") }
      ]
    },
    traffic: {
      title: "Traffic",
      show: bytesPerSecond,
      series: [
        { label: "received", points: rate(samples, "sealog_received_bytes_total") },
        { label: "sent", points: rate(samples, "sealog_sent_bytes_total") }
      ]
    },
    busy: {
      title: "Busy",
      show: percent,
      series: [
        { label: "processor", points: rate(samples, "process_cpu_seconds_total") },
        { label: "event loop", points: rate(samples, "sealog_event_loop_busy_seconds_total") }
      ]
    },
    refusals: {
      title: "Refusals",
      show: perSecond,
      series: [
        { label: "messages", points: rate(samples, "sealog_refusals_total") },
        { label: "requests", points: rate(samples, "sealog_requests_refused_total") }
      ]
    }
  } satisfies Record<string, Pick<ChartProps, "title" | "show" | "series">>
}

export type ChartName = keyof ReturnType<typeof charts>

export const Charts = ({ names, samples }: { readonly names: ReadonlyArray<ChartName>; readonly samples: Samples }) => {
  const times = samples.map(({ at }) => at)
  const all = charts(samples)
  return (
    <div class="charts">
      {names.map((name) => (
        <Chart key={name} times={times} {...all[name]} />
      ))}
    </div>
  )
}
