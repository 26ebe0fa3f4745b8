/** The buttons that put the promises to the test, and the last result. */
import { useEffect, useRef } from "preact/hooks"
import { useValue } from "../../shared/Value.ts"
import type { SealedDocument } from "./sealedDocument.ts"
import type { Trials } from "./trials.ts"

export const Bench = ({ document: sealed, trials }: { readonly document: SealedDocument; readonly trials: Trials }) => {
  const { connection } = useValue(sealed.status)
  const result = useValue(trials.result)
  const isBusy = result?.state === "working"
  const shown = useRef<HTMLDivElement>(null)
  useEffect(() => {
    if (result !== undefined) shown.current?.scrollIntoView({ block: "nearest" })
  }, [result])
  const isOffline = connection === "offline"
  const deeds = [
    {
      name: "Evict the notebook",
      text: "Deletes every sealed message on the server. A window that has the text brings it back.",
      run: trials.evict
    },
    {
      name: "Restart the server",
      text: "Closes sockets, rooms and storage for four seconds. Text that you write then is kept here.",
      run: trials.restart
    },
    {
      name: "Verify the log",
      text: "Checks every hash, chain value, clock and signature again, as sync-admin replay does.",
      run: trials.verify
    },
    {
      name: "Tamper with a copy",
      text: "Copies the log, changes one author and one bit of ciphertext, and verifies the copy.",
      run: trials.tamper
    }
  ]
  return (
    <section class="bench" aria-labelledby="bench-heading">
      <h2 id="bench-heading">Put it to the test</h2>
      <ul class="deeds">
        <li>
          <a class="button primary" href={location.href} target="_blank" rel="noopener">
            Open a second window
          </a>
          <p class="small muted">The address holds the key. Write in both, and see each other’s cursors.</p>
        </li>
        <li>
          <button class="button" type="button" onClick={isOffline ? sealed.goOnline : sealed.goOffline}>
            {isOffline ? "Go online" : "Go offline"}
          </button>
          <p class="small muted">Write on in both windows. Come back, and the texts merge.</p>
        </li>
        {deeds.map(({ name, run, text }) => (
          <li key={name}>
            <button class="button" type="button" aria-disabled={isBusy} onClick={() => isBusy || run()}>
              {name}
            </button>
            <p class="small muted">{text}</p>
          </li>
        ))}
      </ul>
      <div class={`result ${result?.state ?? "none"}`} role="status" ref={shown}>
        {result === undefined ? (
          <p class="muted">The results appear here.</p>
        ) : (
          <>
            <h3>{result.title}</h3>
            {result.lines.map((line) => (
              <p key={line}>{line}</p>
            ))}
          </>
        )}
      </div>
    </section>
  )
}
