/** The browser's globals that Verdant's store needs and Node lacks. This file must be imported before the store. */
import "fake-indexeddb/auto"
import { setMaxListeners } from "node:events"

/** A FileReader that reads at once, and so sends only the last event. */
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

// The older store calls `abort` without its transaction. A browser reports that and goes on.
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
// No tab sends events such as focus and unload.
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

// Every client listens to the same window.
setMaxListeners(0, window, document)

for (const [name, value] of Object.entries({ window, document, localStorage, FileReader: MemoryFileReader })) {
  Object.defineProperty(globalThis, name, { value, configurable: true, writable: true })
}
