/** What Verdant's clients take from a browser and Node does not have. Imported before them. */
import "fake-indexeddb/auto"
import { setMaxListeners } from "node:events"

/** Reads at once, so it needs no events but the last. */
class MemoryFileReader {
  result: ArrayBuffer | null = null
  error: unknown = null
  onload: ((event: { readonly target: MemoryFileReader }) => void) | null = null
  onerror: ((error: unknown) => void) | null = null

  readAsArrayBuffer(blob: Blob): void {
    blob.arrayBuffer().then(
      (bytes) => {
        this.result = bytes
        this.onload?.({ target: this })
      },
      (error) => {
        this.error = error
        this.onerror?.(error)
      }
    )
  }
}

// The older store has transactions aborted by a method that it took off its object. A browser reports that and goes on.
const { abort } = IDBTransaction.prototype
IDBTransaction.prototype.abort = function () {
  if (this instanceof IDBTransaction) abort.call(this)
}

const kept = new Map<string, string>()
const localStorage = {
  getItem: (key: string) => kept.get(key) ?? null,
  setItem: (key: string, value: string) => void kept.set(key, value)
}

const { fetch, FormData, indexedDB, IDBKeyRange } = globalThis
const location = { href: "http://localhost/", origin: "http://localhost", reload: () => {} }
const history = { pushState: () => {}, replaceState: () => {} }
// Events of a tab (focus, unload) never come.
const window = Object.assign(new EventTarget(), {
  fetch: fetch.bind(globalThis),
  FormData,
  indexedDB,
  IDBKeyRange,
  location,
  history,
  localStorage
})
const document = Object.assign(new EventTarget(), { visibilityState: "visible" })

// Every client listens to the one tab.
setMaxListeners(0, window, document)

for (const [name, value] of Object.entries({ window, document, localStorage, FileReader: MemoryFileReader })) {
  Object.defineProperty(globalThis, name, { value, configurable: true, writable: true })
}
