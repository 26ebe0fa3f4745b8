/** One webhook: its settings, how far it is, and the changes that its receiver did not take. */
import { type Answers, get, part } from "./api.ts"
import { DeedButton } from "./deeds.tsx"
import { ago, count, minute, number } from "./format.ts"
import { Badge, Crumbs, Facts, Loading, Panel, Problem, Table } from "./parts.tsx"
import { hrefOf, usePolled } from "./state.ts"
import { deliveredOf } from "./WebhooksView.tsx"
import { removeWebhookDeed, replayDeed, skipDeed, testDeed } from "./webhookDeeds.ts"

type Details = Answers["WebhookDetails"]

export const WebhookView = ({ id }: { readonly id: string }) => {
  // The server looks at the heads of all streams for each answer.
  const webhook = usePolled(`webhook ${id}`, () => get<Details>(`/webhooks/${part(id)}`), { every: 10_000 })
  const shown = webhook.data
  return (
    <>
      <Crumbs items={[["Webhooks", "#/webhooks"]]} />
      <div class="title">
        <h1>
          Webhook <span class="mono">{id}</span>{" "}
          {shown && shown.stopped > 0 && <Badge kind="danger">{count(shown.stopped, "dead letter")}</Badge>}
        </h1>
        {shown && (
          <div class="tools">
            <DeedButton label="Send a test…" deed={testDeed(shown)} />
            {shown.stopped > 0 && <DeedButton label="Deliver all again…" deed={replayDeed(shown)} />}
            <DeedButton label="Remove…" deed={removeWebhookDeed(shown)} />
          </div>
        )}
      </div>
      {shown === undefined ? (
        <Loading of={webhook} />
      ) : (
        <>
          <Problem of={webhook} />
          <Facts
            facts={[
              ["dead letters", shown.stopped === 0 ? "none" : number(shown.stopped)],
              ["behind", count(shown.streamsBehind, "stream")],
              ["last delivery", deliveredOf(shown)],
              ["added (UTC)", minute(shown.createdAt)]
            ]}
          />
          <Panel title="Settings">
            <dl class="event-facts">
              {(
                [
                  ["URL", <code key="url">{shown.url}</code>],
                  ["Libraries", shown.libraries?.join(" ") ?? "all"],
                  ["Types", shown.types?.join(" ") ?? "all"]
                ] as const
              ).map(([name, value]) => (
                <div key={name}>
                  <dt>{name}</dt>
                  <dd>{value}</dd>
                </div>
              ))}
            </dl>
          </Panel>
          <DeadLetters of={shown} />
        </>
      )}
    </>
  )
}

const DeadLetters = ({ of }: { readonly of: Details }) => (
  <Panel title="Dead letters">
    <Table
      caption={`Dead letters of ${of.id}`}
      head={["Library", "Stream", "Versions", "Attempts#", "Answer", "Since", ""]}
      empty="None. A change that the receiver does not take, after all attempts, holds up the later ones of its library, and is shown here."
    >
      {of.deadLetters.map(({ attempts, fromVersion, libraryId, problem, since, streamId, toVersion }) => (
        <tr key={libraryId}>
          <th scope="row">
            <a href={hrefOf("libraries", libraryId)}>{libraryId}</a>
          </th>
          <td>{streamId}</td>
          <td class="number">
            {number(fromVersion)} to {number(toVersion)}
          </td>
          <td class="right number">{number(attempts)}</td>
          <td>{problem}</td>
          <td>{ago(since)}</td>
          <td class="right">
            <div class="tools">
              <DeedButton label="Deliver again…" deed={replayDeed(of, libraryId)} />
              <DeedButton label="Skip…" deed={skipDeed(of, libraryId, fromVersion)} />
            </div>
          </td>
        </tr>
      ))}
    </Table>
  </Panel>
)
