/** The deeds about webhooks, each by the API. */
import { type Answers, part, post } from "./api.ts"
import { type Deed, reasonOf } from "./deeds.tsx"
import { count } from "./format.ts"

type Webhook = Answers["Webhook"]
type ChangeType = NonNullable<Webhook["types"]>[number]

/** Does not compile if a type is missing. */
const TYPES: Readonly<Record<ChangeType, true>> = {
  "verdant.changed": true,
  "verdant.purged": true,
  "verdant.imported": true,
  "verdant.evicted": true,
  "verdant.deleted": true,
  "secsync.snapshot_stored": true,
  "secsync.update_stored": true,
  "secsync.document_created": true,
  "secsync.evicted": true,
  "secsync.deleted": true,
  "secsync.allowed_again": true
}

const MAX_LIBRARIES = 100

const pathOf = ({ id }: Pick<Webhook, "id">) => `/webhooks/${part(id)}`

/** Empty is all: no list. */
const listOf = (text = ""): ReadonlyArray<string> | undefined => {
  const list = text.split(/\s+/).filter(Boolean)
  return list.length === 0 ? undefined : list
}

/** Throws if no webhook can have the URL. Its text may hold a password, and is in no message. */
const checkUrl = (text: string): void => {
  const url = URL.parse(text)
  const isFit = url !== null && /^https?:$/.test(url.protocol) && url.username + url.password + url.hash === ""
  if (!isFit) throw new Error("Give a URL of http: or https:, without a user and without a #.")
}

export const addWebhookDeed: Deed = {
  title: "Add a webhook",
  text: "The servers open connections to the URL from where they run, also to private addresses. The URL stays in the log’s history, so put no password into it.",
  action: "Add",
  fields: [
    { name: "url", label: "URL", hint: "https://app.example.org/hooks/sealog", maxLength: 2000 },
    { name: "libraries", label: "Libraries", hint: "all, or names with spaces between", maxLength: 20_200 },
    {
      ...{ name: "types", label: "Types", hint: "none chosen: all", type: "choices" },
      choices: Object.keys(TYPES).map((type) => [type, type] as const)
    },
    { name: "from", label: "Begin", type: "choices", choices: [["start", "with the first change of the log"]] }
  ],
  run: async ({ from, libraries, types, url = "", ...values }) => {
    checkUrl(url)
    const [names, chosen] = [listOf(libraries), listOf(types)]
    if (names !== undefined && names.length > MAX_LIBRARIES) {
      throw new Error(`A webhook names at most ${MAX_LIBRARIES} libraries. Without a name it gets the changes of all.`)
    }
    const { id, secret } = await post<{ readonly id: string; readonly secret: string }>("/webhooks", {
      ...{ url, from: from || "now", ...reasonOf(values) },
      ...(names && { libraries: names }),
      ...(chosen && { types: chosen })
    })
    return {
      line: `Added webhook ${id}.`,
      text: "The receiver checks the signature of each message with this secret. It is not shown again.",
      secret
    }
  }
}

export const testDeed = (webhook: Webhook): Deed => ({
  title: "Send a test",
  text: "The process that answers sends the receiver a message of the type webhook.test, once, and tells how it was answered.",
  action: "Send",
  hasReason: false,
  run: async () => {
    const answer = await post<{ readonly status: number } | { readonly problem: string }>(`${pathOf(webhook)}/test`, {})
    if ("problem" in answer) throw new Error(`The receiver did not take it: ${answer.problem}.`)
    return `The receiver took it, with status ${answer.status}.`
  }
})

const replay = async (webhook: Webhook, payload: object): Promise<number> =>
  (await post<{ readonly libraries: ReadonlyArray<string> }>(`${pathOf(webhook)}/replay`, payload)).libraries.length

export const replayDeed = (webhook: Webhook, libraryId?: string): Deed => ({
  title: libraryId === undefined ? "Deliver all dead letters again" : `Deliver the changes of ${libraryId} again`,
  text: "Tries each change that was not taken again, and then the changes behind it, in order.",
  action: "Deliver again",
  run: async (values) => {
    const waited = await replay(webhook, { ...(libraryId && { libraryId }), ...reasonOf(values) })
    return waited === 0 ? "Nothing waited any more." : `Delivers ${count(waited, "dead letter")} again.`
  }
})

export const skipDeed = (webhook: Webhook, libraryId: string, version: number): Deed => ({
  title: `Skip a change of ${libraryId}`,
  text: `The receiver never gets the change with version ${version}. Deliveries go on with the next one.`,
  action: "Skip",
  isDangerous: true,
  run: async (values) => {
    const waited = await replay(webhook, { libraryId, version, skip: true, ...reasonOf(values) })
    return waited === 0 ? "This change waited no more." : `Skipped version ${version} of ${libraryId}.`
  }
})

export const removeWebhookDeed = (webhook: Webhook): Deed => ({
  title: `Remove webhook ${webhook.id}`,
  text: "Ends its deliveries, and deletes its secret. A webhook that is added later for the same URL has another secret, and begins where you say.",
  action: "Remove",
  isDangerous: true,
  run: async (values) => {
    await post(`${pathOf(webhook)}/remove`, reasonOf(values))
    location.hash = "#/webhooks"
    return `Removed webhook ${webhook.id}.`
  }
})
