/** All webhooks, and how their receivers do. */
import { type Answers, get } from "./api.ts"
import { DeedButton } from "./deeds.tsx"
import { ago, count } from "./format.ts"
import { Badge, Loading, Panel, Problem, Table } from "./parts.tsx"
import { hrefOf, usePolled } from "./state.ts"
import { addWebhookDeed } from "./webhookDeeds.ts"

type Webhook = Answers["Webhook"]

/** "all", or the first name and how many more there are. */
const Names = ({ of }: { readonly of: ReadonlyArray<string> | null }) =>
  of === null ? (
    <span class="muted">all</span>
  ) : (
    <span title={of.join(", ")}>
      {of[0]} {of.length > 1 && <span class="muted">and {of.length - 1} more</span>}
    </span>
  )

export const deliveredOf = ({ deliveredAt }: Pick<Webhook, "deliveredAt">): string =>
  deliveredAt == null ? "none known" : ago(deliveredAt)

export const WebhooksView = () => {
  // The server reads the streams of all webhooks for each answer.
  const webhooks = usePolled("webhooks", () => get<ReadonlyArray<Webhook>>("/webhooks"), { every: 10_000 })
  return (
    <>
      <h1>Webhooks</h1>
      <p class="muted">
        The servers deliver changes to these URLs, signed with the webhook’s secret: at least once, and in order for a
        library.
      </p>
      <Problem of={webhooks} />
      <Panel title="All webhooks" aside={<DeedButton label="Add a webhook…" deed={addWebhookDeed} />}>
        {webhooks.data === undefined ? (
          <Loading of={webhooks} />
        ) : (
          <Table
            caption="All webhooks"
            head={["URL", "Libraries", "Types", "Dead letters", "Last delivery", "Added"]}
            empty="No webhooks."
          >
            {webhooks.data.map((webhook) => (
              <tr key={webhook.id}>
                <th scope="row" class="url">
                  <a href={hrefOf("webhooks", webhook.id)} title={webhook.url}>
                    {webhook.url}
                  </a>
                </th>
                <td>
                  <Names of={webhook.libraries} />
                </td>
                <td>
                  <Names of={webhook.types} />
                </td>
                <td>
                  {webhook.stopped === 0 ? (
                    <span class="muted">none</span>
                  ) : (
                    <Badge kind="danger">{count(webhook.stopped, "dead letter")}</Badge>
                  )}
                </td>
                <td>{deliveredOf(webhook)}</td>
                <td>{ago(webhook.createdAt)}</td>
              </tr>
            ))}
          </Table>
        )}
      </Panel>
    </>
  )
}
