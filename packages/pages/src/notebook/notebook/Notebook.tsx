/** The first tab: the notebook in this window, beside all that the server has of it. */

import { counted } from "../../shared/format.ts"
import type { Value } from "../../shared/Value.ts"
import { useValue } from "../../shared/Value.ts"
import { People } from "../People.tsx"
import { Bench } from "./Bench.tsx"
import { Editor } from "./Editor.tsx"
import { ServerView } from "./ServerView.tsx"
import type { SealedDocument, Status } from "./sealedDocument.ts"
import type { ServerEvent } from "./serverEvents.ts"
import type { Trials } from "./trials.ts"

export interface NotebookProps {
  readonly document: SealedDocument
  readonly events: Value<ReadonlyArray<ServerEvent>>
  readonly trials: Trials
  /** The address named no notebook, and this one took its place. */
  readonly isReplaced: boolean
}

export const Notebook = ({ document: sealed, events, isReplaced, trials }: NotebookProps) => {
  const status = useValue(sealed.status)
  const people = useValue(sealed.people)
  const isEmpty = useValue(events).length === 0
  const result = useValue(trials.result)
  return (
    <>
      <div class="intro">
        <h1>A notebook that the server keeps, and cannot read</h1>
        <p class="muted">
          Each change is sealed in this window, with a key that stands in this page’s address, after the #. Browsers do
          not send that part. The server checks, orders, stores and relays what it cannot open.
        </p>
        {isReplaced && <p role="status">The address that you opened names no notebook, so this is a new one.</p>}
      </div>
      <div class="sides">
        <section class="panel window" aria-labelledby="window-heading">
          <header class="panel-header">
            <h2 id="window-heading">In this window</h2>
            <People people={people} />
          </header>
          <Editor text={sealed.text} awareness={sealed.awareness} />
          <p class={`status small ${status.connection}`} role="status">
            {statusText(status, isEmpty)}
          </p>
        </section>
        <ServerView events={events} author={sealed.author} colors={sealed.colors} damaged={result?.damaged ?? NONE} />
      </div>
      <Bench document={sealed} trials={trials} />
    </>
  )
}

const NONE: ReadonlySet<number> = new Set()

const statusText = ({ connection, waiting }: Status, isEmpty: boolean): string => {
  const changes = waiting === 0 ? "" : `, ${counted(waiting, "change")} waiting here`
  if (connection === "online" && waiting > 0) return `Sending ${counted(waiting, "change")}`
  if (connection === "online") return isEmpty ? "Connected" : "Stored by the server"
  if (connection === "offline") return `Offline${changes}`
  if (connection === "locked") return "The key in this address does not open the notebook. Copy the whole address."
  if (connection === "refused") return "The server refuses this notebook. Load the page again."
  return `Connecting${changes}`
}
