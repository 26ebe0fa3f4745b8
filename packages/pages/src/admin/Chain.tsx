/**
 * A document's events, drawn: one column for each event, a lane for snapshots and one for each author. The thin line is the log's
 * chain, which goes through every event. The arcs are the proofs that lead from a snapshot to its parent.
 */
import { useEffect, useRef } from "preact/hooks"
import type { Answers } from "./api.ts"
import { short, time } from "./format.ts"

export type Event = Answers["Event"]

interface Facts {
  readonly snapshotId?: string
  readonly parentSnapshotId?: string | null
  readonly parentSnapshotProof?: string
  readonly refSnapshotId?: string
  readonly pubKey?: string
  readonly clock?: number
}

export const factsOf = ({ data }: Event): Facts => {
  const all = data as Facts & { readonly snapshot?: Facts }
  return typeof all.snapshot === "object" ? { ...all, ...all.snapshot } : all
}

const [STEP, LANE, TOP, LEFT] = [26, 26, 62, 118]
/** Authors with a lane of their own; the others share the last one. */
const AUTHORS = 6

export const Chain = ({
  events,
  selected,
  onSelect
}: {
  readonly events: ReadonlyArray<Event>
  readonly selected: number | undefined
  readonly onSelect: (version: number) => void
}) => {
  const scroll = useRef<HTMLElement>(null)
  const newest = events.at(-1)?.version
  useEffect(() => {
    scroll.current?.scrollTo({ left: scroll.current.scrollWidth })
  }, [newest])
  const updates = events.filter(({ type }) => type === "UpdateStored")
  const authors = Array.from(new Set(updates.map((event) => factsOf(event).pubKey ?? "")))
  const lanes = authors.length > AUTHORS ? [...authors.slice(0, AUTHORS - 1), "others"] : authors
  const laneOf = (event: Event): number => {
    if (event.type !== "UpdateStored") return 0
    const own = lanes.indexOf(factsOf(event).pubKey ?? "")
    return own < 0 ? lanes.length : own + 1
  }
  const places = events.map((event, i) => ({
    event,
    x: 16 + i * STEP,
    y: TOP + laneOf(event) * LANE
  }))
  const bySnapshot = new Map(
    places
      .filter(({ event }) => event.type === "SnapshotStored")
      .map((place) => [factsOf(place.event).snapshotId, place] as const)
  )
  const proofs = Array.from(bySnapshot.values()).flatMap((place) => {
    const parent = bySnapshot.get(factsOf(place.event).parentSnapshotId ?? "")
    return parent === undefined ? [] : [{ from: parent, to: place }]
  })
  const lastEviction = events.findLast(({ type }) => type === "Evicted" || type === "Deleted")?.version ?? 0
  const width = events.length * STEP + 12
  const height = TOP + (lanes.length + 1) * LANE
  return (
    <div class="chain">
      <svg class="lanes" viewBox={`0 0 ${LEFT} ${height}`} width={LEFT} height={height} aria-hidden="true">
        {["snapshots", ...lanes].map((name, i) => (
          <text key={name} x={0} y={TOP + i * LANE + 4} class={i === 0 ? "" : "mono"}>
            {i === 0 || name === "others" ? name : short(name, 9)}
          </text>
        ))}
      </svg>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: without a focus, a keyboard cannot scroll it */}
      <section class="scroll" ref={scroll} tabIndex={0} aria-label="Proof chain, newest on the right">
        <svg
          viewBox={`0 0 ${width} ${height}`}
          width={width}
          height={height}
          role="img"
          aria-label={`The last ${events.length} events in one chain: ${bySnapshot.size} snapshots, of which ${proofs.length} are drawn with the proof that leads to their parent, and ${updates.length} updates by ${authors.length} authors. The table below has the same.`}
        >
          {["snapshots", ...lanes].map((name, i) => (
            <line key={name} class="lane" x1={0} x2={width} y1={TOP + i * LANE} y2={TOP + i * LANE} />
          ))}
          <polyline class="log" points={places.map(({ x, y }) => `${x},${y}`).join(" ")} />
          {proofs.map(({ from, to }) => {
            const rise = Math.min(TOP - 14, 14 + (to.x - from.x) * 0.18)
            return (
              <path
                key={to.event.version}
                class="proof"
                d={`M${from.x},${from.y - 7}C${from.x},${from.y - rise * 1.3} ${to.x},${to.y - rise * 1.3} ${to.x},${to.y - 7}`}
              >
                <title>{`Parent proof ${short(factsOf(to.event).parentSnapshotProof ?? "", 16)}`}</title>
              </path>
            )
          })}
          {places.map(({ event, x, y }) => (
            // biome-ignore lint/a11y/noStaticElementInteractions: the buttons of the table below do the same for a keyboard
            <g
              key={event.version}
              class={[
                "event",
                event.type,
                event.version <= lastEviction ? "gone" : "",
                event.version === selected ? "selected" : ""
              ].join(" ")}
              onClick={() => onSelect(event.version)}
            >
              <title>{`${event.version} ${event.type}, ${time(event.recordedAt)} UTC`}</title>
              <rect class="target" x={x - STEP / 2} y={TOP - LANE / 2} width={STEP} height={height - TOP} />
              {shapeOf(event.type, x, y)}
            </g>
          ))}
        </svg>
      </section>
    </div>
  )
}

const shapeOf = (type: string, x: number, y: number) => {
  if (type === "SnapshotStored") return <rect x={x - 7} y={y - 7} width={14} height={14} rx={3} />
  if (type === "UpdateStored") return <circle cx={x} cy={y} r={5} />
  return <path d={`M${x},${y - 8}L${x + 8},${y}L${x},${y + 8}L${x - 8},${y}Z`} />
}
