/** All libraries, and how the server does. */
import { type Answers, get } from "./api.ts"
import { Charts } from "./Charts.tsx"
import { ago, bytes, number, share } from "./format.ts"
import { QUOTA_PARTS } from "./libraryDeeds.ts"
import { readList, useLongList } from "./longLists.tsx"
import type { Samples } from "./metrics.ts"
import { Facts, Loading, Panel, Problem, QuotaMeter, Table } from "./parts.tsx"
import { hrefOf, usePolled } from "./state.ts"

type Library = Answers["Library"]

const orders = {
  changed: { label: "last activity", compare: (a: Library, b: Library) => b.updatedAt - a.updatedAt },
  size: { label: "size", compare: (a: Library, b: Library) => b.payloadBytes - a.payloadBytes },
  events: { label: "events", compare: (a: Library, b: Library) => b.events - a.events },
  quota: { label: "quota", compare: (a: Library, b: Library) => shareOf(b) - shareOf(a) },
  name: { label: "name", compare: (a: Library, b: Library) => (a.libraryId < b.libraryId ? -1 : 1) }
} as const

const shareOf = ({ nearestQuota }: Library): number =>
  !nearestQuota || nearestQuota.use === 0
    ? 0
    : // Finite also if nothing may be used: the difference of two infinite shares would be no number.
      Math.min(nearestQuota.use / nearestQuota.atMost, Number.MAX_VALUE)

const nameOf = ({ libraryId }: Library): string => libraryId

export const LibrariesView = ({ samples }: { readonly samples: Samples }) => {
  const statistics = usePolled("statistics", () => get<Answers["Statistics"]>("/statistics"), { every: 10_000 })
  const libraries = usePolled("libraries", () => readList<Library>("/libraries", nameOf), { every: 5000 })
  const connections = usePolled("connections", () => get<ReadonlyArray<Answers["Connection"]>>("/connections"))
  const { below, filter, rows, tools } = useLongList({
    ...{ items: libraries.data, nameOf, orders },
    hrefOfName: (name) => hrefOf("libraries", name)
  })
  const connected = new Map<string, number>()
  for (const { libraryId } of connections.data ?? []) connected.set(libraryId, (connected.get(libraryId) ?? 0) + 1)
  const totals = statistics.data
  return (
    <>
      <h1>Libraries</h1>
      <Problem of={libraries} />
      {totals && (
        <Facts
          facts={[
            ["libraries", number(totals.libraries)],
            ["documents", number(totals.documents)],
            ["events", number(totals.events)],
            ["payloads", bytes(totals.payloadBytes)],
            ["on disk", totals.diskBytes === null ? "not known" : bytes(totals.diskBytes)],
            ["connections", number(connections.data?.length ?? 0)]
          ]}
        />
      )}
      <Charts names={["events", "commits", "connections", "memory"]} samples={samples} />
      <Panel title="All libraries" aside={tools}>
        {libraries.data === undefined ? (
          <Loading of={libraries} />
        ) : (
          <Table
            caption="All libraries"
            head={["Library", "Size#", "Events#", "Streams#", "Connections#", "Quota", "Last activity"]}
            empty={
              filter === "" ? "No library yet. The first client of a library makes it." : "No library has such a name."
            }
          >
            {rows.map(({ events, libraryId, nearestQuota, payloadBytes, streams, updatedAt }) => (
              <tr key={libraryId}>
                <th scope="row">
                  <a href={hrefOf("libraries", libraryId)}>{libraryId}</a>
                </th>
                <td class="right number">{bytes(payloadBytes)}</td>
                <td class="right number">{number(events)}</td>
                <td class="right number">{number(streams)}</td>
                <td class="right number">{connected.get(libraryId) ?? ""}</td>
                <td>
                  <NearestQuota libraryId={libraryId} nearest={nearestQuota} />
                </td>
                <td>{ago(updatedAt)}</td>
              </tr>
            ))}
          </Table>
        )}
        {below}
      </Panel>
    </>
  )
}

/** The part of its quota that a library is nearest to. */
const NearestQuota = ({
  libraryId,
  nearest
}: {
  readonly libraryId: string
  readonly nearest: Library["nearestQuota"]
}) => {
  if (!nearest) return <>not known</>
  const { atMost, part: name, use } = nearest
  const label = QUOTA_PARTS.find(([one]) => one === name)?.[1] ?? name
  return (
    <span class="nearest" title={`${label}: ${number(use)} of ${number(atMost)}`}>
      <QuotaMeter label={`${label} of ${libraryId} in use`} use={use} atMost={atMost} /> {share(use, atMost)}{" "}
      <span class="muted">{label.toLowerCase()}</span>
    </span>
  )
}
