/** The process that answers: its charts, the largest documents, and the tokens that are revoked everywhere. */
import { type Answers, get, post } from "./api.ts"
import { Charts } from "./Charts.tsx"
import { DeedButton, reasonOf } from "./deeds.tsx"
import { bytes, minute, time } from "./format.ts"
import { gauge, type Samples } from "./metrics.ts"
import { Facts, Loading, Panel, Table } from "./parts.tsx"
import { hrefOf, usePolled } from "./state.ts"

export const ServerView = ({ samples }: { readonly samples: Samples }) => {
  const statistics = usePolled("statistics", () => get<Answers["Statistics"]>("/statistics"), { every: 10_000 })
  const revocations = usePolled("revocations", () => get<Answers["Revocations"]>("/revocations"))
  const now = (name: string) => gauge(samples, name).at(-1)
  const started = now("process_start_time_seconds")
  const damaged = now("sealog_damaged_streams") ?? 0
  return (
    <>
      <h1>Server</h1>
      <Facts
        facts={[
          ["started (UTC)", started === undefined ? "…" : minute(started * 1000)],
          ["damaged streams", damaged === 0 ? "none" : String(damaged)],
          ["appends waiting", String(now("sealog_appends_waiting") ?? "…")],
          ["heap limit", bytes(now("sealog_heap_limit_bytes") ?? 0)],
          ["log on disk", statistics.data?.diskBytes == null ? "not known" : bytes(statistics.data.diskBytes)]
        ]}
      />
      <Charts
        samples={samples}
        names={[
          ...(["events", "commits", "fanOut", "connections", "rooms"] as const),
          ...(["frames", "traffic", "refusals", "busy", "memory"] as const)
        ]}
      />
      <div class="columns">
        <Panel title="Largest documents">
          {statistics.data === undefined ? (
            <Loading of={statistics} />
          ) : (
            <Table caption="Largest documents" head={["Document", "Library", "Size#"]} empty="No documents.">
              {statistics.data.largestDocuments.map(({ documentId, libraryId, payloadBytes }) => (
                <tr key={`${libraryId}/${documentId}`}>
                  <th scope="row">
                    <a href={hrefOf("libraries", libraryId, "documents", documentId)}>{documentId}</a>
                  </th>
                  <td>{libraryId}</td>
                  <td class="right number">{bytes(payloadBytes)}</td>
                </tr>
              ))}
            </Table>
          )}
        </Panel>
        <Panel
          title="Revoked in every library"
          aside={
            <DeedButton
              label="Revoke…"
              deed={{
                title: "Revoke tokens in every library",
                text: "Ends one token, or all tokens of a user that were issued until now. Servers disconnect their clients within a second.",
                action: "Revoke",
                isDangerous: true,
                fields: [
                  { name: "userId", label: "User", hint: "all tokens of this user" },
                  { name: "tokenId", label: "Token", hint: "id of one token (jti)" }
                ],
                run: async ({ tokenId, userId, ...values }) => {
                  if (Boolean(tokenId) === Boolean(userId)) throw new Error("Name either a user or a token.")
                  const whose = userId ? { userId } : { tokenId }
                  const { changed } = await post<{ changed: boolean }>("/revoke", { whose, ...reasonOf(values) })
                  return `${changed ? "Revoked" : "Revoked before:"} ${userId ? `every token of ${userId}` : `token ${tokenId}`}.`
                }
              }}
            />
          }
        >
          {revocations.data === undefined ? <Loading of={revocations} /> : <RevocationTable of={revocations.data} />}
        </Panel>
      </div>
    </>
  )
}

export const RevocationTable = ({ of }: { readonly of: Answers["Revocations"] }) => (
  <Table caption="Revoked tokens" head={["Tokens", "Issued until"]} empty="No token is revoked.">
    {[
      ...(of.before === null ? [] : [["all", "all tokens", `${time(of.before)} UTC`] as const]),
      ...of.users.map(({ before, userId }) => [`u${userId}`, `of ${userId}`, `${time(before)} UTC`] as const),
      ...of.tokens.map((tokenId) => [`t${tokenId}`, tokenId, ""] as const)
    ].map(([key, name, until]) => (
      <tr key={key}>
        <th scope="row">{name}</th>
        <td class="number">{until}</td>
      </tr>
    ))}
  </Table>
)
