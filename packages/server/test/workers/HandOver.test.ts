/** Connections on their way through the parent to the workers, with processes and sockets. */
import { fork } from "node:child_process"
import { createHash, randomBytes } from "node:crypto"
import { connect, type Socket } from "node:net"
import { join } from "node:path"
import { assert, describe, it, layer } from "@effect/vitest"
import { WorkerPool, type WorkerPoolOptions } from "@sealog/server/workers"
import { Context, Effect, Layer } from "effect"
import { until } from "#test-support/until"

const startEcho = (number: number) =>
  fork(join(import.meta.dirname, "echoWorker.ts"), [String(number)], { execArgv: ["--conditions=@sealog/source"] })

const poolOf = (options: Partial<WorkerPoolOptions> = {}) =>
  WorkerPool.layer({ count: 1, port: 0, host: "127.0.0.1", start: startEcho, ...options })

const startPool = (options: Partial<WorkerPoolOptions>) =>
  Effect.map(Layer.build(poolOf(options)), (services) => Context.get(services, WorkerPool).port)

interface Client {
  readonly socket: Socket
  /** All that has arrived. */
  readonly received: () => string
  readonly isClosed: () => boolean
}

const open = Effect.fnUntraced(function* (port: number) {
  const socket = yield* Effect.acquireRelease(
    Effect.sync(() => connect({ port, host: "127.0.0.1", noDelay: true })),
    (socket) => Effect.sync(() => socket.destroy())
  )
  return yield* Effect.callback<Client>((resume) => {
    let text = ""
    let closed = false
    socket.on("error", () => {})
    socket.on("data", (chunk) => {
      text += chunk.toString("latin1")
    })
    socket.on("close", () => {
      closed = true
    })
    socket.once("connect", () => resume(Effect.succeed({ socket, received: () => text, isClosed: () => closed })))
  })
})

/** Sends text, and waits for an answer that holds a text. */
const ask = Effect.fnUntraced(function* (port: number, request: string, answer: string) {
  const client = yield* open(port)
  client.socket.write(request)
  yield* until(answer, () => client.received().includes(answer), client.received)
  return client
})

const upgradeOf = (path: string, headers = "") =>
  `GET ${path} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n${headers}\r\n`

const workerIn = (text: string) => /X-Worker: (\d)/.exec(text)?.[1]

layer(poolOf({ count: 2, limits: { maxConnectionsPerAddress: 3000 } }), { excludeTestServices: true })(
  "the hand-over of connections",
  (it) => {
    it.effect("no byte is lost or changes its place, however the client cuts its request", () =>
      Effect.gen(function* () {
        const { port } = yield* WorkerPool
        const post = (cutAt: (head: string) => ReadonlyArray<number>) =>
          Effect.gen(function* () {
            const { received, socket } = yield* open(port)
            const { localPort } = socket
            const body = randomBytes(3_000_000)
            const head = `POST /verdant HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: ${body.length}\r\n\r\n`
            let from = 0
            for (const to of cutAt(head)) {
              yield* Effect.promise(() => new Promise((resolve) => socket.write(head.slice(from, to), resolve)))
              from = to
            }
            socket.write(Buffer.concat([Buffer.from(head.slice(from)), body.subarray(0, 100)]))
            // Some arrives with the head, some while the connection is handed over, and some after that.
            for (let at = 100; at < body.length; at += 50_000) {
              const part = body.subarray(at, at + 50_000)
              yield* Effect.promise(() => new Promise((resolve) => socket.write(part, resolve)))
            }
            yield* until("an answer", () => received().includes("}"), received)
            const answer = JSON.parse(received().slice(received().indexOf("{")))
            assert.strictEqual(answer.length, body.length)
            assert.strictEqual(answer.digest, createHash("sha256").update(body).digest("hex"))
            assert.strictEqual(answer.remotePort, localPort)
          })
        const cuts = [
          () => [],
          (head: string) => [10, head.length - 2],
          (head: string) => [head.length - 3, head.length - 1]
        ]
        yield* Effect.forEach(
          Array.from({ length: 30 }, (_, i) => cuts[i % cuts.length]!),
          post,
          { concurrency: 10 }
        )
        yield* post((head) => Array.from(head, (_, i) => i + 1))
      })
    )

    it.effect("frames right behind an upgrade arrive, and both clients of a document reach one worker", () =>
      Effect.gen(function* () {
        const { port } = yield* WorkerPool
        const frames = "frame ".repeat(20_000)
        const both = () =>
          Effect.forEach(
            Array.from({ length: 12 }, (_, i) => i),
            (i) => ask(port, `${upgradeOf(`/document-${i}?sessionKey=x`)}${frames}end`, `${frames}end`)
          )
        const [first, second] = [yield* both(), yield* both()]
        const workers = first.map(({ received }) => workerIn(received()))
        assert.deepStrictEqual(
          second.map(({ received }) => workerIn(received())),
          workers
        )
        assert.strictEqual(new Set(workers).size, 2)
      })
    )

    it.effect("a worker refuses what is no request, and a head that is too large", () =>
      Effect.gen(function* () {
        const { port } = yield* WorkerPool
        yield* ask(port, "\u0016\u0003\u0001\u0002", " 400 ")
        yield* ask(port, `GET / HTTP/1.1\r\nX-Large: ${"x".repeat(70_000)}`, " 431 ")
      })
    )

    it.effect("of too many connections that send no head, the oldest is refused", () =>
      Effect.gen(function* () {
        const { port } = yield* WorkerPool
        const oldest = yield* open(port)
        yield* Effect.forEach(Array.from({ length: 1000 }), () => open(port), { concurrency: 50 })
        yield* until("the oldest is refused", () => oldest.received().includes(" 408 "))
        yield* ask(port, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", " 200 ")
      })
    )
  }
)

describe("the door of the workers", () => {
  it.live("an address has no more connections than its limit on all workers together, until one closes", () =>
    Effect.gen(function* () {
      const port = yield* startPool({ limits: { maxConnectionsPerAddress: 4 } })
      const clients = yield* Effect.forEach([1, 2, 3, 4], (i) => ask(port, upgradeOf(`/${i}?sessionKey=x`), " 101 "))
      yield* ask(port, "", " 429 ")
      clients[0]!.socket.destroy()
      const again = Effect.gen(function* () {
        const { isClosed, received, socket } = yield* open(port)
        socket.write(upgradeOf("/5?sessionKey=x"))
        yield* until("an answer", () => isClosed() || received().includes(" 101 "))
        return received().includes(" 101 ")
      })
      yield* until("there is room again", again)
    })
  )

  it.live("behind a trusted proxy the WebSockets of a client count for its own address", () =>
    Effect.gen(function* () {
      const port = yield* startPool({
        limits: { maxConnectionsPerAddress: 2 },
        trustedProxies: ["127.0.0.1"]
      })
      const from = (address: string, status: string) =>
        ask(port, upgradeOf("/document?sessionKey=x", `X-Forwarded-For: ${address}\r\n`), ` ${status} `)
      yield* from("192.0.2.1", "101")
      yield* from("192.0.2.1", "101")
      yield* from("192.0.2.1", "429")
      yield* from("192.0.2.2", "101")
    })
  )

  it.live("a connection that no worker can take is refused, and another worker takes the place of one that ended", () =>
    Effect.gen(function* () {
      const started: Array<ReturnType<typeof startEcho>> = []
      const start = (number: number) => {
        started.push(startEcho(number))
        return started.at(-1)!
      }
      const port = yield* startPool({ start })
      started[0]!.kill("SIGKILL")
      yield* until("it has ended", () => started[0]!.signalCode !== null)
      yield* ask(port, upgradeOf("/document?sessionKey=x"), " 503 ")
      const isServed = Effect.map(open(port), ({ socket, ...client }) => {
        socket.write(upgradeOf("/document?sessionKey=x"))
        return client
      }).pipe(
        Effect.tap(({ isClosed, received }) => until("an answer", () => isClosed() || received().includes(" 101 "))),
        Effect.map(({ received }) => received().includes(" 101 "))
      )
      yield* until("a worker serves again", isServed)
      assert.strictEqual(started.length, 2)
    })
  )

  it.live("a worker that cannot start ends the start of all, with its exit code", () =>
    Effect.gen(function* () {
      const start = () => fork("-", { execArgv: ["--eval", "process.exit(3)"] })
      const failure = yield* Effect.flip(startPool({ start }))
      assert.deepInclude(failure, { _tag: "WorkerFailed", number: 1, exitCode: 3 })
    })
  )
})
