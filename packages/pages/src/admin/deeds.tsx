/** Deeds of an operator: each is asked about in a dialog, done by the API, and told of in one line. */
import { type ComponentChildren, createContext } from "preact"
import { useContext, useEffect, useRef, useState } from "preact/hooks"
import { announceChange } from "./state.ts"

export interface Field {
  readonly name: string
  readonly label: string
  readonly value?: string
  readonly hint?: string
  /** `choices`: any number of them, in the values as lines. */
  readonly type?: "text" | "number" | "choices"
  readonly choices?: ReadonlyArray<readonly [value: string, label: string]>
  /** Characters. Default: 200. */
  readonly maxLength?: number
}

/** A secret that the server tells once. */
export interface Told {
  readonly line: string
  readonly text: string
  readonly secret: string
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
  /** Returns the line that tells what was done, with a secret if there is one. */
  readonly run: (values: Readonly<Record<string, string>>) => Promise<string | Told>
}

const Ask = createContext<(deed: Deed) => void>(() => {})
export const useAsk = () => useContext(Ask)

export const Deeds = ({ children }: { readonly children: ComponentChildren }) => {
  const [deed, setDeed] = useState<Deed | undefined>()
  const [done, setDone] = useState("")
  const [secret, setSecret] = useState<Told | undefined>()
  return (
    <Ask.Provider value={setDeed}>
      {children}
      {deed && (
        <DeedDialog
          deed={deed}
          onEnd={(told) => {
            setDeed(undefined)
            if (typeof told === "string") setDone(told)
            else if (told !== undefined) setSecret(told)
          }}
        />
      )}
      {secret && (
        <SecretDialog
          {...secret}
          onEnd={() => {
            setSecret(undefined)
            setDone(secret.line)
          }}
        />
      )}
      <Done line={done} onEnd={() => setDone("")} />
    </Ask.Provider>
  )
}

const SHOWN = 8000

const Done = ({ line, onEnd }: { readonly line: string; readonly onEnd: () => void }) => {
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

const DeedDialog = ({ deed, onEnd }: { readonly deed: Deed; readonly onEnd: (told?: string | Told) => void }) => {
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
    const form = new FormData(event.currentTarget as HTMLFormElement)
    const values = Object.fromEntries(Array.from(form.keys(), (name) => [name, form.getAll(name).join("\n").trim()]))
    setRunning(true)
    setProblem("")
    try {
      const told = await deed.run(values)
      dialog.current?.close()
      announceChange()
      onEnd(told)
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
          <div class={deed.fields.filter(({ type }) => type === "number").length > 3 ? "fields many" : "fields"}>
            {deed.fields.map((field) =>
              field.type === "choices" ? (
                <Choices key={field.name} {...field} />
              ) : (
                // biome-ignore lint/a11y/noLabelWithoutControl: the input is one of the two inside
                <label key={field.name}>
                  <span>{field.label}</span>
                  {field.type === "number" ? (
                    <input type="number" min={0} step={1} {...inputOf(field)} />
                  ) : (
                    <input type="text" maxLength={field.maxLength ?? 200} {...inputOf(field)} />
                  )}
                </label>
              )
            )}
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

const Choices = ({ choices = [], hint, label, name }: Field) => (
  <fieldset class="choices">
    <legend>
      {label} <span class="muted">{hint}</span>
    </legend>
    {choices.map(([value, text]) => (
      <label key={value}>
        <input type="checkbox" name={name} value={value} /> {text}
      </label>
    ))}
  </fieldset>
)

/** Escape does not close it: the secret would be lost. */
const SecretDialog = ({ line, secret, text, onEnd }: Told & { readonly onEnd: () => void }) => {
  const dialog = useRef<HTMLDialogElement>(null)
  const field = useRef<HTMLInputElement>(null)
  const [copied, setCopied] = useState("")
  const isKept = useRef(false)
  useEffect(() => dialog.current?.showModal(), [])
  const copy = async () => {
    field.current?.select()
    // A page without TLS, on another machine's address, has no clipboard of its own.
    const isCopied = await (navigator.clipboard?.writeText(secret) ?? Promise.reject()).then(
      () => true,
      () => document.execCommand("copy")
    )
    setCopied(isCopied ? "Copied." : "Press Ctrl+C to copy it.")
  }
  return (
    <dialog
      ref={dialog}
      aria-labelledby="secret-title"
      aria-describedby="secret-text"
      onCancel={(event) => event.preventDefault()}
      // A browser lets a page refuse one Escape, and closes at the next.
      onClose={() => (isKept.current ? onEnd() : dialog.current?.showModal())}
    >
      <div class="deed">
        <h2 id="secret-title">{line}</h2>
        <p id="secret-text">{text}</p>
        <label>
          <span>Secret</span>
          <input ref={field} type="text" class="mono" readOnly value={secret} />
        </label>
        <div class="actions">
          <span role="status" class="muted">
            {copied}
          </span>
          <button type="button" class="button" onClick={copy}>
            Copy
          </button>
          <button
            type="button"
            class="button primary"
            onClick={() => {
              isKept.current = true
              dialog.current?.close()
            }}
          >
            I have kept it
          </button>
        </div>
      </div>
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
