/** A backend that receives changes as server-sent events, as `GET /changes` sends them. */
import { get, type IncomingMessage } from "node:http"
import { Effect, type Scope } from "effect"
import { until } from "../until.ts"

export interface SentEvent {
  readonly id?: string
  readonly event?: string
  // biome-ignore lint/suspicious/noExplicitAny: JSON whose fields each test knows
  readonly data?: any
}

export interface ChangeStream {
  readonly status: number
  readonly response: IncomingMessage
  /** Every event so far that has data or an id; comments are left out. */
  readonly events: ReadonlyArray<SentEvent>
  /** The events of changes so far. */
  readonly changes: () => ReadonlyArray<SentEvent>
  readonly versions: () => ReadonlyArray<number>
  readonly comments: () => number
  readonly untilVersion: (version: number) => Effect.Effect<void>
  /** Waits until the response has ended, or its connection is gone; true: it ended as it should. */
  readonly ended: Effect.Effect<boolean>
}

export interface ChangeRequest {
  readonly token?: string | undefined
  readonly query?: string
  readonly lastEventId?: string
  /** Does not read. */
  readonly isPaused?: boolean
}

export const openChanges: (
  server: { readonly port: number },
  request: ChangeRequest
) => Effect.Effect<ChangeStream, never, Scope.Scope> = Effect.fnUntraced(function* (
  { port },
  { isPaused = false, lastEventId, query = "", token }
) {
  const headers = {
    ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
    ...(lastEventId === undefined ? {} : { "last-event-id": lastEventId })
  }
  const response = yield* Effect.acquireRelease(
    Effect.callback<IncomingMessage>((resume) => {
      get({ host: "127.0.0.1", port, path: `/changes${query}`, headers, agent: false }, (answer) =>
        resume(Effect.succeed(answer))
      ).on("error", (error) => resume(Effect.die(error)))
    }),
    (answer) => Effect.sync(() => answer.destroy())
  )
  const events: Array<SentEvent> = []
  let comments = 0
  let text = ""
  let end: boolean | undefined
  const read = (block: string): void => {
    if (block.startsWith(":")) {
      comments += 1
      return
    }
    const fields = Object.fromEntries(block.split("\n").map((line) => line.split(/: (.*)/s).slice(0, 2)))
    events.push({ ...fields, ...(fields.data === undefined ? {} : { data: JSON.parse(fields.data) }) })
  }
  response.setEncoding("utf8")
  response.on("error", () => {})
  response.on("close", () => {
    end = response.complete
  })
  if (!isPaused) {
    response.on("data", (chunk: string) => {
      text += chunk
      const blocks = text.split("\n\n")
      text = blocks.pop()!
      blocks.forEach(read)
    })
  }
  const changes = () => events.filter(({ data, event }) => data !== undefined && event === undefined)
  const versions = () => changes().map(({ id }) => Number(id))
  return {
    status: response.statusCode ?? 0,
    ...{ response, events, changes, versions },
    comments: () => comments,
    untilVersion: (version) =>
      until(
        `the change of version ${version} arrives`,
        () => (versions().at(-1) ?? 0) >= version,
        () => events.slice(-3)
      ),
    ended: Effect.map(
      until("the response ends", () => end !== undefined),
      () => end === true
    )
  }
})
