import { render } from "preact"
import "../style/base.css"
import "./style.css"
import { App } from "./App.tsx"
import { loadSodium, openDocument } from "./notebook/sealedDocument.ts"
import { followEvents } from "./notebook/serverEvents.ts"
import { makeTrials } from "./notebook/trials.ts"
import { notebookOf, personOf } from "./session.ts"

const sodium = await loadSodium()
const address = notebookOf(sodium)
const person = personOf(sessionStorage)
const sealed = await openDocument(sodium, address, person)
const events = followEvents(address.documentId)
const trials = makeTrials(address.documentId, sealed, events)

// Another notebook's address was entered.
addEventListener("hashchange", () => location.reload())
render(<App person={person} notebook={{ document: sealed, events, trials }} />, document.getElementById("app")!)
