/** The worker's side: it serves the connections that its parent hands over, and answers the parent's questions for itself. */
import type { Server } from "node:http"
import type { Socket } from "node:net"
import { Effect, Layer } from "effect"
import { PrometheusMetrics } from "effect/observability"
import { ConnectionSource, type OwnAnswers } from "../edge/ConnectionSource.ts"
import { isNamed } from "../ports/Connections.ts"
import { CurrentWorkers, type Health, type Workers } from "../ports/Workers.ts"
import { Exchange } from "./Exchange.ts"
import type { Answers, AnswerTo, Question, ToParent, ToWorker } from "./Messages.ts"

export interface Joined {
  /** Makes a `SyncServer` that is built with it a worker. `port`: the one that the parent listens on. */
  readonly layer: (port: number) => Layer.Layer<never>
  /** Completes when the parent wants the worker to end, or is gone. */
  readonly stopped: Effect.Effect<void>
  /** Calls `change` when the operator changes the log level or changes it back. */
  readonly onLogLevel: (change: (isChanged: boolean) => void) => void
}

/** Joins the parent that forked this process. */
export const joinParent = (): Joined => {
  const levelListeners = new Set<(isChanged: boolean) => void>()
  const stopped = Promise.withResolvers<void>()
  const closed: Array<number> = []
  let server: Server | undefined
  let answer: (question: Question) => Promise<unknown> = () => Promise.resolve(undefined)

  const post = (message: ToParent): void => {
    // Without a callback, a parent that has just ended would be an error event.
    if (process.connected) process.send?.(message, undefined, {}, () => {})
  }
  const exchange = new Exchange(post, (question) => answer(question))

  const serve = ({ connection, head }: ToWorker & { _tag: "Serve" }, socket: Socket | undefined): void => {
    const leave = () => {
      closed.push(connection)
      if (closed.length === 1) setImmediate(() => post({ _tag: "Closed", connections: closed.splice(0) }))
    }
    // It was lost on its way, for lack of file descriptors for example, or the server does not serve any more.
    if (socket === undefined || server === undefined) {
      socket?.destroy()
      return leave()
    }
    socket.once("close", leave)
    // Nothing was read from it here yet, so these bytes are the first.
    socket.unshift(Buffer.from(head, "latin1"))
    server.emit("connection", socket)
  }

  process.on("message", (message: ToWorker, socket: Socket | undefined) => {
    switch (message._tag) {
      case "Serve":
        return serve(message, socket)
      case "LogLevel":
        return levelListeners.forEach((change) => void change(message.isChanged))
      case "Stop":
        return stopped.resolve()
      default:
        return exchange.receive(message)
    }
  })
  process.once("disconnect", () => {
    exchange.end()
    stopped.resolve()
  })
  // The channel must not keep a worker that has stopped, or could not start.
  process.channel?.unref()

  const ask = <Q extends Question>(question: Q): Effect.Effect<AnswerTo<Q>> =>
    Effect.promise(async () => {
      const found = await exchange.ask(question, PATIENCE_WITH_PARENT)
      if (found === undefined) throw new Error(`The parent process does not answer (${question.about}).`)
      return found
    })

  const workers: Workers = {
    health: Effect.promise(
      async (): Promise<Health> => (await exchange.ask({ about: "health" }, PATIENCE_WITH_PARENT)) ?? silent
    ),
    metrics: ask({ about: "metrics" }),
    connections: ask({ about: "connections" }),
    disconnect: (named) => ask({ about: "disconnect", named })
  }

  const take = (port: number) => (given: Server, own: OwnAnswers) =>
    Effect.acquireRelease(
      Effect.gen(function* () {
        const run = Effect.runPromiseWith(yield* Effect.context<never>())
        const answers = answersOf(own)
        answer = (question) => run(answers(question))
        // Node begins to watch over the time of heads when a server listens, and this one never does.
        given.emit("listening")
        server = given
        process.channel?.ref()
        post({ _tag: "Ready" })
        return port
      }),
      () =>
        Effect.sync(() => {
          post({ _tag: "Leaving" })
          server = undefined
          process.channel?.unref()
          given.close()
        })
    )

  return {
    layer: (port) => Layer.merge(Layer.succeed(ConnectionSource, take(port)), Layer.succeed(CurrentWorkers, workers)),
    stopped: Effect.promise(() => stopped.promise),
    onLogLevel: (change) => void levelListeners.add(change)
  }
}

/** The parent itself waits for the workers, so this is longer, ms. */
const PATIENCE_WITH_PARENT = 5000

const silent: Health = { status: "unhealthy", reason: "the parent process does not answer" }

const answersOf =
  ({ connections, health }: OwnAnswers) =>
  (question: Question): Effect.Effect<Answers[Question["about"]]> => {
    switch (question.about) {
      case "health":
        return health
      case "metrics":
        return PrometheusMetrics.format()
      case "connections":
        return Effect.sync(connections.list)
      case "disconnect":
        return Effect.sync(() => connections.disconnect(isNamed(question.named)))
    }
  }
