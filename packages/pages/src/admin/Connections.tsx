/** The clients that are connected to this process. */
import { type Answers, get, post } from "./api.ts"
import { DeedButton } from "./deeds.tsx"
import { ago, bytes, count, number, until } from "./format.ts"
import { useShown } from "./longLists.tsx"
import { Badge, Loading, Panel, Problem, Table } from "./parts.tsx"
import { hrefOf, usePolled } from "./state.ts"

type Connection = Answers["Connection"]

const STATES = {
  live: { kind: "good", title: "The client has taken all that it was sent." },
  behind: { kind: "warning", title: "The client has not taken all that it was sent." },
  leaving: { kind: "plain", title: "The server closes the connection." }
} as const

const disconnect = async (payload: object): Promise<string> => {
  const { disconnected } = await post<{ readonly disconnected: number }>("/connections/disconnect", payload)
  return disconnected === 0 ? "No such connection is open any more." : `Closed ${count(disconnected, "connection")}.`
}

const BACK = "The client comes back at once, with what it has not sent yet. To keep it out, revoke its token."

export const ConnectionTable = ({
  caption,
  connections
}: {
  readonly caption: string
  readonly connections: ReadonlyArray<Connection>
}) => {
  const [rows, more] = useShown(connections)
  return (
    <>
      <Table
        caption={caption}
        head={["User", "Protocol", "Document", "Session", "Unsent#", "Opened", "Token ends", ""]}
        empty="No client is connected."
      >
        {rows.map(({ documentId, endsAt, id, libraryId, openedAt, protocol, state, userId, waitingBytes }) => (
          <tr key={id}>
            <th scope="row">
              {userId} <span class="muted mono small">{id}</span>
            </th>
            <td>{protocol === "secsync" ? "Secsync" : "Verdant"}</td>
            <td>
              {documentId === null ? (
                <span class="muted">whole library</span>
              ) : (
                <a href={hrefOf("libraries", libraryId, "documents", documentId)}>{documentId}</a>
              )}
            </td>
            <td>
              <span title={STATES[state].title}>
                <Badge kind={STATES[state].kind}>{state}</Badge>
              </span>
            </td>
            <td class="right number">{waitingBytes === 0 ? "" : bytes(waitingBytes)}</td>
            <td>{ago(openedAt)}</td>
            <td>{until(endsAt)}</td>
            <td class="right">
              <DeedButton
                label="Disconnect"
                deed={{
                  title: `Disconnect ${userId}`,
                  text: BACK,
                  action: "Disconnect",
                  hasReason: false,
                  run: () => disconnect({ id })
                }}
              />
            </td>
          </tr>
        ))}
      </Table>
      {more}
    </>
  )
}

export const ConnectionsView = () => {
  const connections = usePolled("connections", () => get<ReadonlyArray<Connection>>("/connections"), { every: 2000 })
  const all = connections.data ?? []
  const byLibrary = Array.from(Map.groupBy(all, ({ libraryId }) => libraryId)).sort(([a], [b]) => (a < b ? -1 : 1))
  const [panels, more] = useShown(byLibrary)
  return (
    <>
      <div class="title">
        <h1>Connections</h1>
        {all.length > 0 && (
          <DeedButton
            label="Disconnect all"
            deed={{
              title: `Disconnect all ${number(all.length)} clients`,
              text: "Closes every connection of this process. Clients come back at once, with what they have not sent yet.",
              action: "Disconnect all",
              isDangerous: true,
              hasReason: false,
              run: () => disconnect({ all: true })
            }}
          />
        )}
      </div>
      <p class="muted">
        The clients of the process that answers. Behind a balancer, each process has a page of its own address.
      </p>
      <Problem of={connections} />
      {connections.data === undefined && <Loading of={connections} />}
      {connections.data?.length === 0 && <p class="empty panel">No client is connected.</p>}
      {panels.map(([libraryId, own]) => (
        <Panel
          key={libraryId}
          title={libraryId}
          aside={
            <div class="tools">
              <a href={hrefOf("libraries", libraryId)}>Library</a>
              <DeedButton
                label="Disconnect library"
                deed={{
                  title: `Disconnect the clients of ${libraryId}`,
                  text: `Closes ${count(own.length, "connection")}. To keep clients out, suspend the library.`,
                  action: "Disconnect",
                  hasReason: false,
                  run: () => disconnect({ libraryId })
                }}
              />
            </div>
          }
        >
          <ConnectionTable caption={`Connections to ${libraryId}`} connections={own} />
        </Panel>
      ))}
      {more}
    </>
  )
}
