/** The notebook that the address names, and the person in this window. */
import type { Sodium } from "./notebook/sealedDocument.ts"

/** The library of the server in dev mode. */
export const LIBRARY = "playground"

export interface NotebookAddress {
  readonly documentId: string
  readonly key: Uint8Array
}

/**
 * Reads the notebook from the fragment of the address, `#DOCUMENT.KEY`, or makes a new one. A browser does not send the fragment
 * to the server.
 */
export const notebookOf = (sodium: Sodium): NotebookAddress => {
  const [, documentId, key] = /^#([\w-]{8,64})\.([\w-]{43})$/.exec(location.hash) ?? []
  if (documentId !== undefined && key !== undefined) return { documentId, key: sodium.from_base64(key) }
  const made = { documentId: sodium.to_base64(sodium.randombytes_buf(9)), key: sodium.randombytes_buf(32) }
  history.replaceState(null, "", `#${made.documentId}.${sodium.to_base64(made.key)}`)
  return made
}

export interface Person {
  /** The window's own user for Verdant: two people may have one name. */
  readonly id: string
  readonly name: string
  readonly color: string
}

/** Dark enough for white text on them. */
const COLORS = ["#a33b12", "#1d5fa6", "#7b2f8f", "#0d6a58", "#a01d4d", "#5c5a10"] as const
const NAMES = ["Ada", "Barbara", "Edith", "Frances", "Grace", "Hedy", "Joan", "Katherine", "Margaret", "Radia"] as const

const pick = <A>(from: ReadonlyArray<A>): A => from[Math.floor(Math.random() * from.length)]!

/** The window's person, who stays when the page is loaded again. */
export const personOf = (storage: Storage): Person => {
  const known = storage.getItem("person")
  if (known !== null) return JSON.parse(known)
  const name = pick(NAMES)
  const person: Person = { id: `${name.toLowerCase()}-${crypto.randomUUID().slice(0, 6)}`, name, color: pick(COLORS) }
  storage.setItem("person", JSON.stringify(person))
  return person
}

/** Names the endpoint of `serve --dev` that gives everybody a token. */
export const authEndpoint = (user: string): string =>
  `${location.origin}/auth/${LIBRARY}?user=${encodeURIComponent(user)}`
