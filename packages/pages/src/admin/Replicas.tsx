/** The replicas of a library: how far each one's promise is, where the watermark is, and which replica holds it down. */
import type { Answers } from "./api.ts"
import { DeedButton } from "./deeds.tsx"
import { ago, clock, number, short, time } from "./format.ts"
import { truantDeed } from "./libraryDeeds.ts"
import { Badge, Table } from "./parts.tsx"

type Verdant = Answers["VerdantDetails"]
type Replica = Verdant["replicas"][number]

const TYPES = ["realtime", "push", "passive realtime", "passive push", "read-only pull", "read-only"]
/** Replicas of these types write, so the watermark waits for them. */
const LAST_WRITING = 1

/** Milliseconds since 1970 in a Verdant timestamp: 9 digits in base 36, after the schema version. */
const millisOf = (timestamp: string | null): number | undefined =>
  timestamp === null ? undefined : Number.parseInt(timestamp.slice(4, 13), 36)

/** The drawing shows so many replicas; the table shows all. */
const DRAWN = 12

export const Replicas = ({ libraryId, verdant }: { readonly libraryId: string; readonly verdant: Verdant }) => {
  const replicas = verdant.replicas.toSorted((a, b) => (a.promise ?? "").localeCompare(b.promise ?? ""))
  const holder = replicas.find(({ id }) => id === verdant.heldBy)
  const watermark = millisOf(verdant.watermark)
  return (
    <>
      <p class="verdict">
        {watermark === undefined ? "No watermark yet. " : `Watermark ${time(watermark)} UTC. `}
        {holder === undefined ? (
          "No replica holds it down."
        ) : (
          <>
            Held down by <strong>{holder.userId}</strong> <code>{short(holder.id, 12)}</code>,{" "}
            {holder.promise === null ? "which has promised nothing yet" : "the oldest promise"}, last seen{" "}
            {ago(holder.seen)}.
          </>
        )}{" "}
        <span class="muted">
          {number(verdant.operations)} operations wait on {number(verdant.baselines)} baselines.
        </span>
      </p>
      <Drawing replicas={replicas.slice(0, DRAWN)} heldBy={verdant.heldBy} watermark={watermark} />
      <Table
        caption={`Replicas of ${libraryId}`}
        head={["User", "Replica", "Type", "Received#", "Promise", "Last seen", ""]}
        empty="No replicas."
      >
        {replicas.map((replica) => {
          const { id, promise, received, seen, truant, type, userId } = replica
          const promised = millisOf(promise)
          return (
            <tr key={id}>
              <th scope="row">
                {userId} {id === verdant.heldBy && <Badge kind="warning">holds the watermark</Badge>}
                {truant && <Badge>truant</Badge>}
              </th>
              <td class="mono small">{short(id, 14)}</td>
              <td>{TYPES[type] ?? type}</td>
              <td class="right number">{received === null ? "nothing" : `${received} of ${verdant.version}`}</td>
              <td class="number">{promised === undefined ? "none" : clock(promised)}</td>
              <td>{ago(seen)}</td>
              <td class="right">
                {!truant && <DeedButton label="Mark as truant" deed={truantDeed(libraryId, id, userId)} />}
              </td>
            </tr>
          )
        })}
      </Table>
    </>
  )
}

const [WIDTH, ROW, LABEL, RIGHT] = [720, 24, 96, 12]

/** A row for each replica, on an axis of time: a dot where its promise is, and a line through all of them at the watermark. */
const Drawing = ({
  heldBy,
  replicas,
  watermark
}: {
  readonly replicas: ReadonlyArray<Replica>
  readonly heldBy: string | null
  readonly watermark: number | undefined
}) => {
  const now = Date.now()
  const times = replicas.flatMap(({ promise }) => millisOf(promise) ?? []).concat(watermark ?? [])
  if (times.length === 0) return null
  const first = Math.min(...times)
  const from = first - Math.max(1000, (now - first) * 0.06)
  const x = (at: number) => LABEL + ((at - from) / (now - from)) * (WIDTH - LABEL - RIGHT)
  const height = replicas.length * ROW + 34
  const bottom = replicas.length * ROW + 8
  return (
    <div class="scroll drawing">
      <svg
        class="replicas"
        viewBox={`0 0 ${WIDTH} ${height}`}
        role="img"
        aria-label={`The promises of ${replicas.length} replicas on an axis of time, and the watermark. The table below has the same.`}
      >
        <line class="axis" x1={LABEL} x2={WIDTH - RIGHT} y1={bottom} y2={bottom} />
        {replicas.map(({ id, promise, truant, type, userId }, i) => {
          const y = 4 + i * ROW + ROW / 2
          const at = millisOf(promise)
          const kind = truant ? "truant" : id === heldBy ? "holder" : type > LAST_WRITING ? "reader" : "writer"
          return (
            <g key={id} class={kind}>
              <text x={LABEL - 12} y={y + 4} text-anchor="end">
                {short(userId, 12)}
              </text>
              <line class="track" x1={LABEL} x2={at === undefined ? LABEL : x(at)} y1={y} y2={y} />
              <line class="ahead" x1={at === undefined ? LABEL : x(at)} x2={WIDTH - RIGHT} y1={y} y2={y} />
              <circle cx={at === undefined ? LABEL : x(at)} cy={y} r={kind === "holder" ? 6 : 4.5} />
            </g>
          )
        })}
        {watermark !== undefined && (
          <g class="watermark">
            <line x1={x(watermark)} x2={x(watermark)} y1={2} y2={bottom} />
            <text x={x(watermark)} y={bottom + 17} text-anchor={x(watermark) > WIDTH - 120 ? "end" : "middle"}>
              watermark {clock(watermark)}
            </text>
          </g>
        )}
        <text class="now" x={WIDTH - RIGHT} y={bottom + 17} text-anchor="end">
          {watermark !== undefined && x(watermark) > WIDTH - 220 ? "" : "now"}
        </text>
      </svg>
    </div>
  )
}
