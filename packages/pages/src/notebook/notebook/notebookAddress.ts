/** The notebook that the address of the page names. */
import type { Sodium } from "./sodium.ts"

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
