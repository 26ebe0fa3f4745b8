/** One attempt to deliver a message: a POST with a signature, a deadline, and no redirects. */
import { Clock, Duration, Effect } from "effect"
import { sign } from "./Signature.ts"

export interface Receiver {
  readonly url: string
  readonly secret: string
}

export interface Message {
  /** The same for each attempt, so that a receiver can tell a repetition. */
  readonly id: string
  /** JSON. */
  readonly body: string
}

export type Outcome =
  | { readonly _tag: "Delivered"; readonly status: number }
  | {
      readonly _tag: "Failed"
      /** At most 200 characters, without anything of the answer's body. */
      readonly problem: string
      /** The receiver says that it is gone for good (410), so no attempt follows. */
      readonly isGone: boolean
      /** Milliseconds that the receiver asks to wait (`Retry-After`); 0: it asks for none. */
      readonly retryAfter: number
    }

/** Bytes of an answer's body that are read, so that its connection can be used again. A longer answer ends its connection. */
const MAX_ANSWER_BYTES = 64 * 1024

/** Posts a message. Any status of 2xx is a delivery; a redirect is a failure, because it could lead to another machine. */
export const post = Effect.fnUntraced(function* (
  { secret, url }: Receiver,
  { body, id }: Message,
  timeout: Duration.Duration
) {
  const timestamp = Math.floor((yield* Clock.currentTimeMillis) / 1000)
  const headers = {
    "content-type": "application/json",
    "user-agent": "Sealog-Webhooks",
    "webhook-id": id,
    "webhook-timestamp": String(timestamp),
    "webhook-signature": sign(secret, id, timestamp, body)
  }
  return yield* Effect.tryPromise({
    try: async (signal) => {
      const response = await fetch(url, { method: "POST", headers, body, redirect: "manual", signal })
      await readLittle(response)
      return response
    },
    catch: problemOf
  }).pipe(
    Effect.timeoutOrElse({
      duration: timeout,
      orElse: () => Effect.fail(`no answer within ${Duration.format(timeout)}`)
    }),
    Effect.match({
      onSuccess: outcomeOf,
      onFailure: (problem): Outcome => ({
        _tag: "Failed",
        problem: problem.slice(0, 200),
        isGone: false,
        retryAfter: 0
      })
    })
  )
})

const readLittle = async ({ body }: Response): Promise<void> => {
  let length = 0
  // Leaving the loop cancels the body.
  for await (const chunk of body ?? []) {
    length += chunk.length
    if (length > MAX_ANSWER_BYTES) return
  }
}

const outcomeOf = ({ headers, status }: Response): Outcome => {
  if (status >= 200 && status < 300) return { _tag: "Delivered", status }
  const problem = status >= 300 && status < 400 ? `status ${status}, a redirect` : `status ${status}`
  const seconds = Number(headers.get("retry-after") ?? 0)
  return { _tag: "Failed", problem, isGone: status === 410, retryAfter: seconds > 0 ? seconds * 1000 : 0 }
}

/** `fetch` says "fetch failed" alone, and why in the cause. */
const problemOf = (error: unknown): string => {
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error
  if (!(cause instanceof Error)) return "the request failed"
  const code = "code" in cause && typeof cause.code === "string" ? cause.code : undefined
  return printable(code ?? (cause.message === "" ? "the request failed" : cause.message))
}

/** The text is stored, and shown in terminals. */
const printable = (text: string): string => text.replace(/[\p{C}\p{Zl}\p{Zp}]/gu, " ")
