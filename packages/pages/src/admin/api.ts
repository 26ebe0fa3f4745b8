/** The page's only way to the server: the HTTP API of operators, with the token of this tab. */
import type { AdminAnswers } from "../../../server/src/admin/api/AdminAnswers.ts"

export type Answers = AdminAnswers

/** The token is kept until the tab closes, and never in an address. */
const KEY = "sealog-operator"

export const heldToken = (): string | null => sessionStorage.getItem(KEY)
export const holdToken = (token: string): void => sessionStorage.setItem(KEY, token)
export const dropToken = (): void => sessionStorage.removeItem(KEY)

/** The server's refusal, or that it could not be reached (`status` 0). */
export class Refusal extends Error {
  readonly status: number

  constructor(status: number, message: string) {
    super(message)
    this.status = status
  }
}

const listeners = new Set<(message: string) => void>()

/** Calls `listener` when the server refuses the token. */
export const onSignedOut = (listener: (message: string) => void): (() => void) => {
  listeners.add(listener)
  return () => void listeners.delete(listener)
}

const request = async (path: string, init: RequestInit = {}, token = heldToken()): Promise<Response> => {
  const headers = { authorization: `Bearer ${token}`, ...(init.body ? { "content-type": "application/json" } : {}) }
  const response = await fetch(`/admin/api${path}`, { ...init, headers, cache: "no-store" }).catch(() => {
    throw new Refusal(0, "The server cannot be reached.")
  })
  if (response.ok) return response
  const { message } = await response.json().catch(() => ({ message: undefined }))
  const refusal = new Refusal(response.status, message ?? `The server answered with ${response.status}.`)
  if (refusal.status === 401 && token === heldToken()) for (const listener of listeners) listener(refusal.message)
  throw refusal
}

export const get = async <Answer>(path: string): Promise<Answer> => (await request(path)).json()
export const getText = async (path: string): Promise<string> => (await request(path)).text()
export const post = async <Answer>(path: string, body: object): Promise<Answer> =>
  (await request(path, { method: "POST", body: JSON.stringify(body) })).json()

/** Succeeds if the server takes the token. */
export const tryToken = async (token: string): Promise<void> => void (await request("/revocations", {}, token))

/** The claims that the page shows. Only the server judges a token. */
export const claimsOf = (token: string): { readonly name: string; readonly endsAt: number | undefined } => {
  try {
    const text = atob(token.split(".")[1]!.replaceAll("-", "+").replaceAll("_", "/"))
    const claims = JSON.parse(new TextDecoder().decode(Uint8Array.from(text, (char) => char.charCodeAt(0))))
    return { name: String(claims.sub), endsAt: claims.exp === undefined ? undefined : claims.exp * 1000 }
  } catch {
    return { name: "operator", endsAt: undefined }
  }
}

/** A part of a path. */
export const part = encodeURIComponent
