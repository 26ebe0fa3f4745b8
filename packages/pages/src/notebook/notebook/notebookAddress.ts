/** The notebook that the address of the page names. */
import type { Sodium } from "./sodium.ts"

export interface NotebookAddress {
  readonly documentId: string
  readonly key: Uint8Array
  /** The address named something else, such as a notebook without its whole key. */
  readonly isReplaced: boolean
}

/**
 * Reads the notebook from the fragment of the address, `#DOCUMENT.KEY`, or makes a new one. A browser does not send the fragment
 * to the server.
 */
export const notebookOf = (sodium: Sodium): NotebookAddress => {
  const [, documentId, key] = /^#([\w-]{8,64})\.([\w-]{43})$/.exec(location.hash) ?? []
  const decoded = keyOf(sodium, key)
  if (documentId !== undefined && decoded !== undefined) return { documentId, key: decoded, isReplaced: false }
  const made = {
    documentId: sodium.to_base64(sodium.randombytes_buf(9)),
    key: sodium.randombytes_buf(32),
    isReplaced: location.hash !== ""
  }
  history.replaceState(null, "", `#${made.documentId}.${sodium.to_base64(made.key)}`)
  return made
}

const keyOf = (sodium: Sodium, text = ""): Uint8Array | undefined => {
  try {
    const key = sodium.from_base64(text)
    return key.length === 32 ? key : undefined
  } catch {
    return undefined
  }
}
