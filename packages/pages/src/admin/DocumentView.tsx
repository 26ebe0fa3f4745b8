/** One Secsync document: its size and clocks, and its events with the proof chain. The content is sealed. */
import { useState } from "preact/hooks"
import { type Answers, get, part } from "./api.ts"
import { Chain, type Event, factsOf } from "./Chain.tsx"
import { DeedButton } from "./deeds.tsx"
import { ago, bytes, count, minute, number, short, time, useOf } from "./format.ts"
import { allowAgainDeed, deleteDeed, evictDeed } from "./libraryDeeds.ts"
import { Badge, Crumbs, Facts, Loading, Panel, Problem, Table } from "./parts.tsx"
import { hrefOf, usePolled } from "./state.ts"

type Details = Answers["DocumentDetails"]

/** Events that are shown at a time. */
const PAGE = 60

export const DocumentView = ({
  documentId,
  libraryId
}: {
  readonly documentId: string
  readonly libraryId: string
}) => {
  const path = `/libraries/${part(libraryId)}/documents/${part(documentId)}`
  const details = usePolled(`document ${path}`, () => get<Details>(path))
  /** The last version of the page; undefined: it follows the newest. */
  const [end, setEnd] = useState<number | undefined>()
  const [selected, setSelected] = useState<number | undefined>()
  const document = details.data
  const last = end ?? document?.version ?? 0
  const events = usePolled(`events ${path} ${last}`, async () =>
    last === 0 ? [] : get<ReadonlyArray<Event>>(`${path}/events?after=${Math.max(0, last - PAGE)}&limit=${PAGE}`)
  )
  const [held, setHeld] = useState<ReadonlyArray<Event>>([])
  if (events.data !== undefined && events.data !== held) setHeld(events.data)
  const isDeleted = document?.deleted === true
  const chosen = held.find(({ version }) => version === selected)
  return (
    <>
      <Crumbs
        items={[
          ["Libraries", "#/"],
          [libraryId, hrefOf("libraries", libraryId)]
        ]}
      />
      <div class="title">
        <h1>
          {documentId}{" "}
          {isDeleted ? (
            <Badge kind="danger">deleted</Badge>
          ) : (
            document?.evicted && <Badge kind="warning">evicted</Badge>
          )}
        </h1>
        {document && (
          <div class="tools">
            {isDeleted ? (
              <DeedButton label="Allow again…" deed={allowAgainDeed(libraryId, documentId)} />
            ) : (
              <>
                <DeedButton label="Evict…" deed={evictDeed(libraryId, documentId)} />
                <DeedButton label="Delete…" deed={deleteDeed(libraryId, documentId)} />
              </>
            )}
          </div>
        )}
      </div>
      {document === undefined ? (
        <Loading of={details} />
      ) : (
        <>
          <Problem of={details} />
          <Facts
            facts={[
              ["version", number(document.version)],
              ["generation", number(document.generation)],
              ["payloads", `${number(document.payloads)}, ${bytes(document.payloadBytes)}`],
              ["quota", document.documentBytes ? useOf(document.documentBytes) : "not known"],
              ["since snapshot", count(document.updates, "update")],
              ["created (UTC)", minute(document.createdAt)],
              ["last activity", ago(document.updatedAt)]
            ]}
          />
          <Panel
            title="Proof chain"
            aside={
              <span class="muted small">
                head <code>{short(document.chain, 16)}</code>
              </span>
            }
          >
            <Chain events={held} selected={selected} onSelect={setSelected} />
            <ul class="legend small" aria-hidden="true">
              <li class="SnapshotStored">snapshot</li>
              <li class="UpdateStored">update</li>
              <li class="other">eviction or other</li>
              <li class="proof">proof to the parent snapshot</li>
              <li class="log">chain of the log</li>
            </ul>
            <div role="status">{chosen && <EventFacts event={chosen} />}</div>
          </Panel>
          <Panel
            title="Timeline"
            aside={
              <div class="tools">
                <button
                  type="button"
                  class="button"
                  disabled={last <= PAGE}
                  onClick={() => setEnd(Math.max(PAGE, last - PAGE))}
                >
                  Older
                </button>
                <button
                  type="button"
                  class="button"
                  disabled={end === undefined}
                  onClick={() => setEnd(last + PAGE >= document.version ? undefined : last + PAGE)}
                >
                  Newer
                </button>
              </div>
            }
          >
            <Table
              caption={`Events of ${documentId}`}
              head={["Version#", "Time (UTC)", "Event", "Author", "Clock#", "Size#", "Origin", "Chain"]}
              empty="No events."
            >
              {held.toReversed().map((event) => {
                const { chain, origin, payloadBytes, recordedAt, type, version } = event
                const { clock, pubKey } = factsOf(event)
                return (
                  <tr key={version} class={version === selected ? "selected" : ""}>
                    <td class="right number">
                      <button type="button" class="link" onClick={() => setSelected(version)}>
                        {number(version)}
                      </button>
                    </td>
                    <td class="number">{time(recordedAt)}</td>
                    <th scope="row">{type}</th>
                    <td class="mono">{pubKey === undefined ? "" : short(pubKey)}</td>
                    <td class="right number">{clock ?? ""}</td>
                    <td class="right number">{typeof payloadBytes === "number" ? bytes(payloadBytes) : ""}</td>
                    <td class="mono">{short(origin, 22)}</td>
                    <td class="mono">{short(chain, 12)}</td>
                  </tr>
                )
              })}
            </Table>
          </Panel>
          <Panel title="Authors since the active snapshot">
            <Table caption="Clocks of authors" head={["Signing key", "Last clock#"]} empty="No updates since then.">
              {Object.entries(document.clocks).map(([key, clock]) => (
                <tr key={key}>
                  <th scope="row" class="mono">
                    {key}
                  </th>
                  <td class="right number">{number(clock)}</td>
                </tr>
              ))}
            </Table>
          </Panel>
        </>
      )}
    </>
  )
}

const EventFacts = ({ event }: { readonly event: Event }) => {
  const { parentSnapshotProof, pubKey, refSnapshotId, snapshotId } = factsOf(event)
  const rows: ReadonlyArray<readonly [string, string | undefined]> = [
    ["version", `${event.version}, ${event.type}`],
    ["recorded", `${time(event.recordedAt)} UTC`],
    ["author", pubKey],
    ["snapshot", snapshotId ?? refSnapshotId],
    ["parent proof", parentSnapshotProof],
    ["payload", typeof event.payloadBytes === "number" ? bytes(event.payloadBytes) : undefined],
    ["payload hash", event.payloadHash || undefined],
    ["chain", event.chain]
  ]
  return (
    <dl class="event-facts">
      {rows.map(
        ([name, value]) =>
          value && (
            <div key={name}>
              <dt>{name}</dt>
              <dd class="mono">{value}</dd>
            </div>
          )
      )}
    </dl>
  )
}
