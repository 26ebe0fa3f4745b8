/** A backend that receives webhooks: a real HTTP server that checks every signature as Standard Webhooks says. */
import { createHmac } from "node:crypto"
import { createServer, type IncomingMessage, type ServerResponse } from "node:http"
import type { AddressInfo } from "node:net"
import { Effect, type Scope } from "effect"
import { until } from "../until.ts"

export interface Received {
  /** The header `webhook-id`. */
  readonly id: string
  readonly type: string
  // biome-ignore lint/suspicious/noExplicitAny: JSON whose fields each test knows
  readonly data: any
  readonly body: string
  readonly headers: IncomingMessage["headers"]
  /** The status of the answer. */
  readonly status: number
}

export interface WebhookReceiver {
  /** http://127.0.0.1:PORT/hook */
  readonly url: string
  /** Every request so far, in the order in which they came. */
  readonly received: ReadonlyArray<Received>
  /** The requests that were answered with 200. */
  readonly taken: () => ReadonlyArray<Received>
  /** The most requests that were in progress at a time for one library. */
  readonly mostOfLibrary: () => number
  /** Decides the answers from now on: a status, or a function that answers by itself. */
  readonly answer: (
    decide: (received: Omit<Received, "status">) => number | ((response: ServerResponse) => void)
  ) => void
  readonly untilTaken: (count: number) => Effect.Effect<void>
  /** Stops listening, and drops all connections. */
  readonly stop: Effect.Effect<void>
  /** Listens again on the same port. */
  readonly start: Effect.Effect<void>
}

export const startReceiver: Effect.Effect<WebhookReceiver, never, Scope.Scope> = Effect.gen(function* () {
  const received: Array<Received> = []
  const inProgress = new Map<string, number>()
  let most = 0
  let decide: Parameters<WebhookReceiver["answer"]>[0] = () => 200
  const server = createServer(async (request, response) => {
    const chunks = await request.toArray().catch(() => [])
    const body = Buffer.concat(chunks).toString()
    const { data, type } = JSON.parse(body)
    const { libraryId } = data
    inProgress.set(libraryId, (inProgress.get(libraryId) ?? 0) + 1)
    most = Math.max(most, inProgress.get(libraryId)!)
    response.once("close", () => inProgress.set(libraryId, inProgress.get(libraryId)! - 1))
    const message = { id: String(request.headers["webhook-id"]), type, data, body, headers: request.headers }
    const answer = decide(message)
    const status = typeof answer === "number" ? answer : 0
    received.push({ ...message, status })
    if (typeof answer === "number") response.writeHead(answer).end("answer")
    else answer(response)
  })
  const listen = (port: number) =>
    Effect.callback<void>((resume) => void server.listen(port, "127.0.0.1", () => resume(Effect.void)))
  yield* listen(0)
  yield* Effect.addFinalizer(() => Effect.sync(() => server.close().closeAllConnections()))
  const { port } = server.address() as AddressInfo
  const taken = () => received.filter(({ status }) => status === 200)
  return {
    url: `http://127.0.0.1:${port}/hook`,
    ...{ received, taken },
    mostOfLibrary: () => most,
    answer: (next) => {
      decide = next
    },
    untilTaken: (count) =>
      until(
        `the receiver has taken ${count}`,
        () => taken().length >= count,
        () => received.slice(-5).map(({ data, status, type }) => ({ data, status, type }))
      ),
    stop: Effect.callback<void>((resume) => {
      server.close(() => resume(Effect.void))
      server.closeAllConnections()
    }),
    start: Effect.suspend(() => listen(port))
  }
})

/** Whether the signature is right, by the text of Standard Webhooks. */
export const isSigned = (secret: string, { body, headers, id }: Pick<Received, "body" | "headers" | "id">): boolean => {
  const timestamp = String(headers["webhook-timestamp"])
  const age = Math.abs(Date.now() / 1000 - Number(timestamp))
  const key = Buffer.from(secret.replace("whsec_", ""), "base64")
  const expected = createHmac("sha256", key).update(`${id}.${timestamp}.${body}`).digest("base64")
  return age < 300 && String(headers["webhook-signature"]).split(" ").includes(`v1,${expected}`)
}
