import { render } from "preact"
import "../style/base.css"
import "./style.css"
import { App } from "./App.tsx"
import { notebookOf } from "./notebook/notebookAddress.ts"
import { openDocument } from "./notebook/sealedDocument.ts"
import { followEvents } from "./notebook/serverEvents.ts"
import { loadSodium } from "./notebook/sodium.ts"
import { makeTrials } from "./notebook/trials.ts"
import { personOf } from "./session.ts"

const open = async () => {
  const sodium = await loadSodium()
  const address = notebookOf(sodium)
  const person = personOf()
  const sealed = await openDocument(sodium, address, person)
  const events = followEvents(address.documentId)
  const trials = makeTrials(address.documentId, sealed, events)
  return <App person={person} notebook={{ document: sealed, events, trials, isReplaced: address.isReplaced }} />
}

const Failed = () => (
  <main>
    <h1>The server does not answer</h1>
    <p>Start it again, and load this page again. The notebook is in its log.</p>
  </main>
)

// Another notebook's address was entered.
addEventListener("hashchange", () => location.reload())
render(await open().catch(() => <Failed />), document.getElementById("app")!)
