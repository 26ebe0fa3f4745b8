/** Deeds of an operator: each is asked about in a dialog, done by the API, and told of in one line. */
import { type ComponentChildren, createContext } from "preact"
import { useContext, useEffect, useRef, useState } from "preact/hooks"
import { announceChange } from "./state.ts"

export interface Field {
  readonly name: string
  readonly label: string
  readonly value?: string
  readonly hint?: string
  readonly type?: "text" | "number"
}

export interface Deed {
  readonly title: string
  readonly text: string
  /** The label of the button that does it. */
  readonly action: string
  readonly isDangerous?: boolean
  /** The text that the operator must type. */
  readonly typed?: string
  readonly fields?: ReadonlyArray<Field>
  /** False if the log keeps no reason for it. */
  readonly hasReason?: boolean
  /** Says how much the deed concerns. */
  readonly plan?: () => Promise<string>
  /** Returns the line that tells what was done. */
  readonly run: (values: Readonly<Record<string, string>>) => Promise<string>
}

const Ask = createContext<(deed: Deed) => void>(() => {})
export const useAsk = () => useContext(Ask)

export const Deeds = ({ children }: { readonly children: ComponentChildren }) => {
  const [deed, setDeed] = useState<Deed | undefined>()
  const [done, setDone] = useState("")
  return (
    <Ask.Provider value={setDeed}>
      {children}
      {deed && (
        <DeedDialog
          deed={deed}
          onEnd={(line) => {
            setDeed(undefined)
            if (line !== undefined) setDone(line)
          }}
        />
      )}
      <Told line={done} onEnd={() => setDone("")} />
    </Ask.Provider>
  )
}

const SHOWN = 8000

const Told = ({ line, onEnd }: { readonly line: string; readonly onEnd: () => void }) => {
  useEffect(() => {
    if (line === "") return
    const timer = setTimeout(onEnd, SHOWN)
    return () => clearTimeout(timer)
  }, [line])
  return (
    <div role="status" class={line === "" ? "told" : "told shown"}>
      {line}
    </div>
  )
}

const DeedDialog = ({ deed, onEnd }: { readonly deed: Deed; readonly onEnd: (line?: string) => void }) => {
  const dialog = useRef<HTMLDialogElement>(null)
  const [plan, setPlan] = useState(deed.plan === undefined ? "" : "Looks what this concerns…")
  const [problem, setProblem] = useState("")
  const [isRunning, setRunning] = useState(false)
  const [typed, setTyped] = useState("")
  useEffect(() => {
    dialog.current?.showModal()
    deed.plan?.().then(setPlan, (error: Error) => setPlan(error.message))
  }, [])
  const mayRun = !isRunning && (deed.typed === undefined || typed === deed.typed)
  const submit = async (event: SubmitEvent) => {
    event.preventDefault()
    if (!mayRun) return
    const values = Object.fromEntries(
      Array.from(new FormData(event.currentTarget as HTMLFormElement), ([name, value]) => [name, String(value).trim()])
    )
    setRunning(true)
    setProblem("")
    try {
      const line = await deed.run(values)
      dialog.current?.close()
      announceChange()
      onEnd(line)
    } catch (error) {
      setProblem((error as Error).message)
      setRunning(false)
    }
  }
  return (
    <dialog ref={dialog} aria-labelledby="deed-title" aria-describedby="deed-text" onClose={() => onEnd()}>
      <form onSubmit={submit} class="deed">
        <h2 id="deed-title">{deed.title}</h2>
        <p id="deed-text">{deed.text}</p>
        {deed.plan && (
          <p class="plan" role="status">
            {plan}
          </p>
        )}
        {deed.fields && (
          <div class={deed.fields.length > 3 ? "fields many" : "fields"}>
            {deed.fields.map((field) => (
              // biome-ignore lint/a11y/noLabelWithoutControl: the input is one of the two inside
              <label key={field.name}>
                <span>{field.label}</span>
                {field.type === "number" ? (
                  <input type="number" min={0} step={1} {...inputOf(field)} />
                ) : (
                  <input type="text" maxLength={200} {...inputOf(field)} />
                )}
              </label>
            ))}
          </div>
        )}
        {deed.typed !== undefined && (
          <label>
            <span>
              Type <code>{deed.typed}</code> to confirm
            </span>
            <input
              type="text"
              value={typed}
              autocomplete="off"
              spellcheck={false}
              onInput={(event) => setTyped(event.currentTarget.value)}
            />
          </label>
        )}
        {deed.hasReason !== false && (
          <label>
            <span>
              Reason <span class="muted">(optional, kept in the log)</span>
            </span>
            <input type="text" name="reason" maxLength={500} autocomplete="off" />
          </label>
        )}
        <p class="problem" role="alert">
          {problem}
        </p>
        <div class="actions">
          <button type="button" class="button" onClick={() => dialog.current?.close()}>
            Cancel
          </button>
          <button type="submit" class={deed.isDangerous ? "button danger" : "button primary"} disabled={!mayRun}>
            {isRunning ? "Working…" : deed.action}
          </button>
        </div>
      </form>
    </dialog>
  )
}

const inputOf = ({ hint, name, value = "" }: Field) => ({
  ...{ name, defaultValue: value, placeholder: hint, autocomplete: "off" as const }
})

/** `{reason}` if one was given. */
export const reasonOf = ({ reason }: Readonly<Record<string, string>>): { readonly reason?: string } =>
  reason ? { reason } : {}

export const DeedButton = ({ deed, label }: { readonly deed: Deed; readonly label?: string }) => {
  const ask = useAsk()
  return (
    <button type="button" class={deed.typed === undefined ? "button" : "button danger"} onClick={() => ask(deed)}>
      {label ?? deed.action}
    </button>
  )
}
