/** One library: its size and quota, documents, connections, replicas, and what operators did to it. */
import { useState } from "preact/hooks"
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
import { Badge, Crumbs, Facts, Loading, Panel, Problem, QuotaMeter, Table } from "./parts.tsx"
import { Replicas } from "./Replicas.tsx"
import { hrefOf, usePolled } from "./state.ts"

type Details = Answers["LibraryDetails"]
type Document = Answers["Document"]
type Logged = Answers["LoggedEvent"]

const PAGE = 100

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
              ["evicted", number(library.evictedDocuments)],
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

const Documents = ({ libraryId, total }: { readonly libraryId: string; readonly total: number }) => {
  const [pages, setPages] = useState(1)
  const documents = usePolled(`documents ${libraryId} ${pages}`, async () => {
    const all: Array<Document> = []
    for (let page = 0; page < pages; page++) {
      const last = all.at(-1)?.documentId
      const after = last === undefined ? "" : `&after=${part(last)}`
      all.push(...(await get<ReadonlyArray<Document>>(`/libraries/${part(libraryId)}/documents?limit=${PAGE}${after}`)))
    }
    return all as ReadonlyArray<Document>
  })
  if (total === 0) return null
  return (
    <Panel title="Secsync documents" aside={<span class="muted small">{count(total, "document")}</span>}>
      {documents.data === undefined ? (
        <Loading of={documents} />
      ) : (
        <Table
          caption={`Documents of ${libraryId}`}
          head={["Document", "Size#", "Quota", "Payloads#", "Events#", "Created", "Last activity"]}
          empty="No documents."
        >
          {documents.data.map(
            ({ createdAt, documentBytes, documentId, evicted, payloadBytes, payloads, updatedAt, version }) => (
              <tr key={documentId}>
                <th scope="row">
                  <a href={hrefOf("libraries", libraryId, "documents", documentId)}>{documentId}</a>
                </th>
                <td class="right number">{evicted ? <Badge>evicted</Badge> : bytes(payloadBytes)}</td>
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
      {documents.data !== undefined && documents.data.length < total && (
        <p class="more">
          <button type="button" class="button" onClick={() => setPages(pages + 1)}>
            Show more
          </button>
        </p>
      )}
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
