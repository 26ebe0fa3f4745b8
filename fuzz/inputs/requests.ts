/** HTTP requests as bytes, with the length of their body put right, and the answers to them. */
import { connect, type Socket } from "node:net"
import { Effect, type Scope } from "effect"

export interface HttpAnswer {
  readonly status: number
  readonly body: string
}

/** Sends one request and waits for its answer, or for the end of the connection (status 0). */
export type Ask = (request: Uint8Array) => Promise<HttpAnswer>

/** Milliseconds after which a request without an answer is a finding. */
const PATIENCE = 20_000

/** A client that keeps its connection for as long as the server does. */
export const httpClient = (port: number): Effect.Effect<Ask, never, Scope.Scope> =>
  Effect.gen(function* () {
    let socket: Socket | undefined
    yield* Effect.addFinalizer(() => Effect.sync(() => socket?.destroy()))
    const end = (): void => {
      socket?.destroy()
      socket = undefined
    }
    return (request) =>
      new Promise<HttpAnswer>((resolve, reject) => {
        const live = socket ?? connect({ port, host: "127.0.0.1", noDelay: true })
        socket = live
        let received = ""
        const timer = setTimeout(() => {
          end()
          reject(new Error(`No answer within ${PATIENCE} ms`))
        }, PATIENCE)
        const done = (answer: HttpAnswer, keep: boolean): void => {
          clearTimeout(timer)
          live.removeAllListeners()
          live.on("error", () => {})
          if (!keep) end()
          resolve(answer)
        }
        live.on("data", (chunk) => {
          received += chunk.toString("latin1")
          const answer = answerIn(received)
          // After a request that Node did not understand, the connection holds the rest of it.
          if (answer !== undefined) done(answer, answer.isWhole && answer.status < 400)
        })
        live.on("error", () => {})
        live.on("close", () => done({ status: 0, body: received }, false))
        live.write(request)
      })
  })

/** The answer in the text; undefined while some of it is missing. An answer without a length ends its connection. */
const answerIn = (text: string): (HttpAnswer & { readonly isWhole: boolean }) | undefined => {
  const head = text.indexOf("\r\n\r\n")
  if (head < 0) return undefined
  const status = Number(/^HTTP\/1\.1 (\d{3})/.exec(text)?.[1] ?? 0)
  const body = text.slice(head + 4)
  const length = /\r\ncontent-length: (\d+)/i.exec(text.slice(0, head))?.[1]
  const isEmpty = status === 204 || status === 304
  if (isEmpty) return { status, body: "", isWhole: true }
  if (length !== undefined) return body.length < Number(length) ? undefined : { status, body, isWhole: true }
  return /\r\ntransfer-encoding: chunked/i.test(text.slice(0, head)) && !body.endsWith("0\r\n\r\n")
    ? undefined
    : { status, body, isWhole: /chunked/i.test(text) }
}

/** A request with this head, the host, and the length of its body. The lines of the head may be anything. */
export const request = (lines: ReadonlyArray<string>, body?: Uint8Array): Buffer =>
  Buffer.concat([
    Buffer.from(
      `${[lines[0], "Host: server", ...lines.slice(1), ...(body ? [`Content-Length: ${body.length}`] : [])].join("\r\n")}\r\n\r\n`,
      "latin1"
    ),
    body ?? Buffer.alloc(0)
  ])

/** The outcome of an answer: a value, or a refusal with one of these statuses. Any other answer is a finding. */
export const outcomeOf = ({ body, status }: HttpAnswer, refusals: ReadonlyArray<number>): "value" | "refusal" => {
  if (status >= 200 && status < 400) return "value"
  if (refusals.includes(status)) return "refusal"
  throw new Error(`The server answers ${status}: ${body.slice(0, 500)}`)
}
