/** One library: its size and quota, documents, connections, replicas, and what operators did to it. */
import { type Answers, get, part } from "./api.ts"
import { ConnectionTable } from "./Connections.tsx"
import { DeedButton } from "./deeds.tsx"
import { ago, bytes, count, minute, number, share, time, useOf } from "./format.ts"
import {
  allowAgainDeed,
  deleteDeed,
  evictDeed,
  QUOTA_PARTS,
  quotaDeed,
  resumeDeed,
  revokeDeed,
  suspendDeed
} from "./libraryDeeds.ts"
import { readList, useLongList } from "./longLists.tsx"
import { Badge, Crumbs, Facts, Loading, Panel, Problem, QuotaMeter, Table } from "./parts.tsx"
import { Replicas } from "./Replicas.tsx"
import { hrefOf, usePolled } from "./state.ts"

type Details = Answers["LibraryDetails"]
type Document = Answers["Document"]
type Logged = Answers["LoggedEvent"]

export const LibraryView = ({ libraryId }: { readonly libraryId: string }) => {
  const path = `/libraries/${part(libraryId)}`
  const details = usePolled(`library ${libraryId}`, () => get<Details>(path))
  const log = usePolled(`administration ${libraryId}`, () => get<ReadonlyArray<Logged>>(`${path}/administration`))
  const deeds = log.data?.filter(({ data }) => (data as { operator?: string }).operator !== undefined) ?? []
  const isDeleted = stateOf(deeds) === "deleted"
  const library = details.data
  return (
    <>
      <Crumbs items={[["Libraries", "#/"]]} />
      <div class="title">
        <h1>
          {libraryId} {library?.suspended && <Badge kind="warning">suspended</Badge>}
          {isDeleted && <Badge kind="danger">deleted</Badge>}
        </h1>
        {library && (
          <div class="tools">
            <DeedButton deed={library.suspended ? resumeDeed(libraryId) : suspendDeed(libraryId)} />
            <DeedButton label="Revoke tokens…" deed={revokeDeed(libraryId)} />
            {isDeleted ? (
              <DeedButton label="Allow again…" deed={allowAgainDeed(libraryId)} />
            ) : (
              <>
                <DeedButton label="Evict…" deed={evictDeed(libraryId)} />
                <DeedButton label="Delete…" deed={deleteDeed(libraryId)} />
              </>
            )}
          </div>
        )}
      </div>
      {library === undefined ? (
        <Loading of={details} />
      ) : (
        <>
          <Problem of={details} />
          <Facts
            facts={[
              ["documents", number(library.documents)],
              ["evicted or deleted", number(library.evictedDocuments)],
              ["events", number(library.events)],
              ["payloads", `${number(library.payloads)}, ${bytes(library.payloadBytes)}`],
              ["created (UTC)", minute(library.createdAt)],
              ["last activity", ago(library.updatedAt)]
            ]}
          />
          <Documents libraryId={libraryId} total={library.documents} />
          <Verdant libraryId={libraryId} />
          <Connections libraryId={libraryId} />
          <div class="columns">
            <Quota libraryId={libraryId} />
            <Panel title="Deeds of operators">
              <Table caption="Deeds of operators" head={["When", "Deed", "By", "Reason"]} empty="Nothing yet.">
                {deeds.toReversed().map(({ data, recordedAt, type, version }) => {
                  const { operator, reason, userId, tokenId, documentId } = data as Record<string, string | undefined>
                  return (
                    <tr key={version}>
                      <td title={`${time(recordedAt)} UTC`}>{ago(recordedAt)}</td>
                      <th scope="row">
                        {sentenceOf(type)} {userId ?? tokenId ?? documentId ?? ""}
                      </th>
                      <td>{operator}</td>
                      <td>{reason ?? ""}</td>
                    </tr>
                  )
                })}
              </Table>
            </Panel>
          </div>
        </>
      )}
    </>
  )
}

/** "LibrarySuspended" becomes "Library suspended". */
const sentenceOf = (type: string): string =>
  type.replace(/[a-z][A-Z]/g, (pair) => `${pair[0]} ${pair[1]!.toLowerCase()}`)

const stateOf = (deeds: ReadonlyArray<Logged>): "deleted" | "open" =>
  deeds.findLast(({ type }) => type === "LibraryDeleted" || type === "LibraryAllowedAgain")?.type === "LibraryDeleted"
    ? "deleted"
    : "open"

const nameOf = ({ documentId }: Document): string => documentId

const orders = {
  changed: { label: "last activity", compare: (a: Document, b: Document) => b.updatedAt - a.updatedAt },
  size: { label: "size", compare: (a: Document, b: Document) => b.payloadBytes - a.payloadBytes },
  events: { label: "events", compare: (a: Document, b: Document) => b.version - a.version },
  name: { label: "name", compare: (a: Document, b: Document) => (a.documentId < b.documentId ? -1 : 1) }
} as const

const Documents = ({ libraryId, total }: { readonly libraryId: string; readonly total: number }) => {
  const path = `/libraries/${part(libraryId)}/documents`
  const documents = usePolled(`documents ${libraryId}`, () => readList<Document>(path, nameOf))
  const { below, filter, rows, tools } = useLongList({
    ...{ items: documents.data, nameOf, orders },
    hrefOfName: (name) => hrefOf("libraries", libraryId, "documents", name)
  })
  if (total === 0) return null
  return (
    <Panel title="Secsync documents" aside={tools}>
      {documents.data === undefined ? (
        <Loading of={documents} />
      ) : (
        <Table
          caption={`Documents of ${libraryId}`}
          head={["Document", "Size#", "Quota", "Payloads#", "Events#", "Created", "Last activity"]}
          empty={filter === "" ? "No documents." : "No document has such a name."}
        >
          {rows.map(
            ({
              createdAt,
              deleted,
              documentBytes,
              documentId,
              evicted,
              payloadBytes,
              payloads,
              updatedAt,
              version
            }) => (
              <tr key={documentId}>
                <th scope="row">
                  <a href={hrefOf("libraries", libraryId, "documents", documentId)}>{documentId}</a>
                </th>
                <td class="right number">
                  {deleted ? (
                    <Badge kind="danger">deleted</Badge>
                  ) : evicted ? (
                    <Badge>evicted</Badge>
                  ) : (
                    bytes(payloadBytes)
                  )}
                </td>
                <td>
                  {documentBytes ? (
                    <span class="nearest" title={share(documentBytes.use, documentBytes.atMost)}>
                      <QuotaMeter label={`quota of ${documentId} in use`} {...documentBytes} /> {useOf(documentBytes)}
                    </span>
                  ) : (
                    "not known"
                  )}
                </td>
                <td class="right number">{number(payloads)}</td>
                <td class="right number">{number(version)}</td>
                <td>{ago(createdAt)}</td>
                <td>{ago(updatedAt)}</td>
              </tr>
            )
          )}
        </Table>
      )}
      {below}
    </Panel>
  )
}

const Connections = ({ libraryId }: { readonly libraryId: string }) => {
  const connections = usePolled(`connections ${libraryId}`, () =>
    get<ReadonlyArray<Answers["Connection"]>>(`/connections?libraryId=${part(libraryId)}`)
  )
  return (
    <Panel title="Connections" aside={<span class="muted small">to this process</span>}>
      {connections.data === undefined ? (
        <Loading of={connections} />
      ) : (
        <ConnectionTable caption={`Connections to ${libraryId}`} connections={connections.data} />
      )}
    </Panel>
  )
}

const Verdant = ({ libraryId }: { readonly libraryId: string }) => {
  const verdant = usePolled(`verdant ${libraryId}`, async () => ({
    details: await get<Answers["VerdantDetails"] | null>(`/libraries/${part(libraryId)}/verdant`)
  }))
  if (verdant.error !== undefined) {
    return (
      <Panel title="Verdant data">
        <Problem of={verdant} />
      </Panel>
    )
  }
  const details = verdant.data?.details
  if (details == null) return null
  const files = details.files.reduce((sum, { size }) => sum + size, 0)
  return (
    <Panel
      title="Verdant replicas"
      aside={
        <span class="muted small">
          {count(details.replicas.length, "replica")}, {count(details.files.length, "file")} of {bytes(files)}
        </span>
      }
    >
      <Replicas libraryId={libraryId} verdant={details} />
    </Panel>
  )
}

const isSize = (name: string) => name === "bytes" || name.endsWith("Bytes")

const Quota = ({ libraryId }: { readonly libraryId: string }) => {
  const quota = usePolled(
    `quota ${libraryId}`,
    () => get<Answers["QuotaDetails"]>(`/libraries/${part(libraryId)}/quota`),
    { every: 10_000 }
  )
  const shown = quota.data
  return (
    <Panel title="Quota" aside={shown && <DeedButton label="Set quota…" deed={quotaDeed(libraryId, shown.quota)} />}>
      {shown === undefined ? (
        <Loading of={quota} />
      ) : (
        <Table caption={`Quota of ${libraryId}`} head={["Part", "In use#", "At most#", "Share", "Set by"]} empty="">
          {QUOTA_PARTS.map(([name, label]) => {
            const text = isSize(name) ? bytes : number
            // A server of an older version may answer, behind a balancer.
            const used = (shown.use as Partial<Record<string, number | null>>)[name] ?? undefined
            const most = shown.atMost?.[name]
            const mostText = most === undefined ? "" : text(most)
            const isOwn = shown.quota[name] !== undefined
            return (
              <tr key={name}>
                <th scope="row">{label}</th>
                <td class="right number">{used === undefined ? "" : text(used)}</td>
                <td class="right number">{isOwn ? <strong>{mostText}</strong> : mostText}</td>
                <td>
                  {used !== undefined && most !== undefined && (
                    <QuotaMeter label={`${label} in use`} use={used} atMost={most} />
                  )}
                </td>
                <td class="muted">{isOwn ? "an operator" : "the server"}</td>
              </tr>
            )
          })}
        </Table>
      )}
    </Panel>
  )
}
