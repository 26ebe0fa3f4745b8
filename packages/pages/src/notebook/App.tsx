/** The page: its header, and two tabs. */
import type { JSX } from "preact"
import { useEffect, useRef, useState } from "preact/hooks"
import { Mark } from "../shared/Mark.tsx"
import { Notebook, type NotebookProps } from "./notebook/Notebook.tsx"
import type { Person } from "./session.ts"

const TABS = ["Notebook", "List"] as const
type Tab = (typeof TABS)[number]

/** The query of the address of the list. The fragment belongs to the notebook. */
const LIST = "?list"

export const App = ({ notebook, person }: { readonly notebook: NotebookProps; readonly person: Person }) => {
  const [tab, setTab] = useState<Tab>(location.search === LIST ? "List" : "Notebook")
  const [list, setList] = useState<JSX.Element>()
  const buttons = useRef<Partial<Record<Tab, HTMLButtonElement | null>>>({})
  useEffect(() => {
    if (tab !== "List" || list !== undefined) return
    // Verdant's client is a part of its own, which the notebook does without.
    void import("./list/List.tsx").then(({ List }) => setList(<List person={person} />))
  }, [tab, list, person])
  const show = (chosen: Tab) => {
    setTab(chosen)
    // A second window, and the page that is loaded again, show the same tab.
    history.replaceState(null, "", `${location.pathname}${chosen === "List" ? LIST : ""}${location.hash}`)
  }
  const choose = (chosen: Tab) => {
    show(chosen)
    buttons.current[chosen]?.focus()
  }
  return (
    <>
      <header class="top">
        <p class="brand">
          <Mark />
          Sealog
        </p>
        <div class="tabs" role="tablist" aria-label="Demonstrations">
          {TABS.map((name, i) => (
            <button
              key={name}
              ref={(element) => {
                buttons.current[name] = element
              }}
              id={`tab-${name}`}
              type="button"
              role="tab"
              aria-selected={tab === name}
              aria-controls={`panel-${name}`}
              tabIndex={tab === name ? 0 : -1}
              onClick={() => show(name)}
              onKeyDown={({ key }) => {
                if (key === "ArrowRight" || key === "ArrowLeft") choose(TABS[(i + 1) % TABS.length]!)
              }}
            >
              {name}
            </button>
          ))}
        </div>
        <p class="mode small muted">development server</p>
      </header>
      <main>
        <div role="tabpanel" id="panel-Notebook" aria-labelledby="tab-Notebook" hidden={tab !== "Notebook"}>
          <Notebook {...notebook} />
        </div>
        <div role="tabpanel" id="panel-List" aria-labelledby="tab-List" hidden={tab !== "List"}>
          {list ?? <p class="muted">Loading Verdant’s client …</p>}
        </div>
      </main>
    </>
  )
}
