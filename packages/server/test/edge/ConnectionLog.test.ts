/** The log lines of connections, requests, slow commits, evictions and restores. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Logger, type LogLevel, References } from "effect"
import { connectRaw } from "#test-support/clients/RawSecsync"
import { connectVerdant, post } from "#test-support/clients/RawVerdant"
import { startDocument } from "#test-support/secsync/startDocument"
import { startMounted } from "#test-support/servers/MountedServer"
import { startMemoryServer } from "#test-support/servers/TestServer"
import { makeSharedSignals, makeTroubledLog } from "#test-support/storage/TroubledLog"
import { until } from "#test-support/until"
import { libraryOn } from "#test-support/verdant/Library"
import { layerMemory } from "../../src/adapters/MemoryEventLog.ts"
import { evict } from "../../src/admin/Eviction.ts"
import { CurrentLogThreshold, LogThreshold } from "../../src/internal/LogThreshold.ts"
import { EventLog } from "../../src/ports/EventLog.ts"
import { makeAuthor, snapshotMessage, updateMessage } from "../../src/testing/SealedMessages.ts"

interface Line {
  readonly level: LogLevel.LogLevel
  readonly message: string
  readonly fields: Readonly<Record<string, unknown>>
}

interface Log {
  readonly lines: ReadonlyArray<Line>
  /** Waits for the first line with this message. */
  readonly line: (message: string) => Effect.Effect<Line>
  readonly threshold: LogThreshold
}

/** Runs a program whose log level may change while it runs. */
const logging = <A, E, R>(level: LogLevel.LogLevel, program: (log: Log) => Effect.Effect<A, E, R>) => {
  const threshold = new LogThreshold(level)
  const lines: Array<Line> = []
  const collector = Logger.make(({ fiber, logLevel, message }) => {
    if (!threshold.allows(logLevel)) return
    const text = String(Array.isArray(message) ? message[0] : message)
    lines.push({ level: logLevel, message: text, fields: fiber.getRef(References.CurrentLogAnnotations) })
  })
  const line = (message: string) => {
    const find = () => lines.find((one) => one.message === message)
    const isThere = until(
      `the line "${message}"`,
      () => find() !== undefined,
      () => lines.map((one) => one.message)
    )
    return Effect.map(isThere, () => find()!)
  }
  return program({ lines, line, threshold }).pipe(
    Effect.provide(Logger.layer([collector])),
    Effect.provideService(CurrentLogThreshold, threshold),
    Effect.provideService(References.MinimumLogLevel, "All")
  )
}

describe("the log", () => {
  it.live("has a line when a client connects and when it goes, with its session and without its token", () =>
    logging("Debug", ({ line, lines }) =>
      Effect.gen(function* () {
        const server = yield* startMemoryServer()
        const { client, key, options } = yield* startDocument(server)
        client.socket.close()
        const [opened, closed] = [yield* line("connection opened"), yield* line("connection closed")]
        assert.deepInclude(opened.fields, { protocol: "secsync", library: key.libraryId, user: "somebody" })
        assert.strictEqual(closed.fields["session"], opened.fields["session"])
        assert.strictEqual(closed.fields["reason"], "the client closed")
        assert.strictEqual(opened.level, "Debug")
        assert.notInclude(JSON.stringify(lines), options.token)
      })
    )
  )

  it.live("has a line for each refusal, with its reason", () =>
    logging("Debug", ({ line }) =>
      Effect.gen(function* () {
        const server = yield* startMemoryServer({ limits: { maxConnections: 1 } })
        const library = libraryOn(server)
        yield* connectVerdant(library, yield* library.token({ userId: "ada" }))
        yield* Effect.exit(Effect.scoped(connectVerdant(library, yield* library.token({ userId: "grace" }))))
        assert.strictEqual((yield* line("connection refused")).fields["reason"], "connections")
        yield* post(library, "not-a-token", [])
        const refused = yield* line("request refused")
        assert.deepInclude(refused.fields, { route: "poll", status: 401, reason: "route" })
        assert.isString(refused.fields["request"])
      })
    )
  )

  it.live("names an id that is refused", () =>
    logging("Info", ({ line }) =>
      Effect.gen(function* () {
        const server = yield* startMemoryServer()
        const token = yield* server.token("notes", { userId: "ada" })
        const client = yield* connectRaw({ url: server.url, documentId: "@notes", token })
        assert.strictEqual((yield* client.closed).code, 1008)
        const { fields, level } = yield* line('A client asked for a document whose id is not valid: "@notes"')
        assert.deepInclude(fields, { libraryId: "notes", userId: "ada" })
        assert.strictEqual(level, "Warn")
      })
    )
  )

  it.live("names an id that is refused for a client with a session of the app's own", () =>
    Effect.gen(function* () {
      const lines: Array<string> = []
      const { port } = yield* startMounted({
        access: () => ({ userId: "ada", libraryId: "notes" }),
        log: (_, message) => void lines.push(message)
      })
      const client = yield* connectRaw({ url: `ws://127.0.0.1:${port}`, documentId: "@notes", token: "" })
      assert.strictEqual((yield* client.closed).code, 1008)
      yield* until("it is named", () => lines.some((line) => line.includes('"@notes"')))
    })
  )

  it.live("names both documents once, printed safely, when a client sends messages of another document", () =>
    logging("Info", ({ lines }) =>
      Effect.gen(function* () {
        const server = yield* startMemoryServer()
        const { client, docId } = yield* startDocument(server)
        for (const _ of [1, 2]) {
          client.send(snapshotMessage(makeAuthor(), { docId: "another\u001b[2J\u009b2J" }))
          yield* client.next("snapshot-save-failed")
        }
        const warnings = lines.filter(({ message }) => message.startsWith("A client sent a message of document"))
        assert.lengthOf(warnings, 1)
        assert.include(warnings[0]?.message, '"another\\u001b[2J\\u009b2J"')
        assert.include(warnings[0]?.message, `"${docId}"`)
      })
    )
  )

  it.live("changes its level while the server runs, for the lines that follow frames too", () =>
    logging("Info", ({ line, lines, threshold }) =>
      Effect.gen(function* () {
        const server = yield* startMemoryServer()
        const { author, client, docId, refSnapshotId } = yield* startDocument(server)
        assert.deepStrictEqual(lines, [])
        threshold.set("Debug")
        client.send(updateMessage(author, { docId, refSnapshotId, clock: 0 }))
        yield* client.next("update-saved")
        yield* line("frame acknowledged")
        threshold.set("Info")
        const before = lines.length
        client.send(updateMessage(author, { docId, refSnapshotId, clock: 1 }))
        yield* client.next("update-saved")
        assert.lengthOf(lines, before)
      })
    )
  )

  it.live("has a line for a commit that takes longer than a second", () =>
    logging("Info", ({ line }) =>
      Effect.gen(function* () {
        const { layer, trouble } = yield* makeTroubledLog
        const server = yield* startMemoryServer({}, layer)
        const { author, client, docId, refSnapshotId } = yield* startDocument(server)
        trouble.beforeNextAppend = Effect.sleep("1100 millis")
        client.send(updateMessage(author, { docId, refSnapshotId, clock: 0 }))
        const { fields, level } = yield* line("slow commit")
        assert.deepInclude(fields, { streams: 1, events: 1 })
        assert.isAtLeast(Number(fields["ms"]), 1000)
        assert.strictEqual(level, "Warn")
      })
    )
  )

  it.live("has a line when a document is evicted, and when it is restored", () =>
    logging("Info", ({ line }) =>
      Effect.gen(function* () {
        const signals = yield* makeSharedSignals
        const services = yield* Layer.build(Layer.merge(layerMemory, signals))
        const log = Layer.effect(EventLog, Effect.provide(EventLog, services))
        const server = yield* startMemoryServer({}, log, signals)
        const { client, docId, key, snapshot } = yield* startDocument(server)
        yield* Effect.provide(evict({ libraryId: key.libraryId }), services)
        assert.deepInclude((yield* line("stream evicted")).fields, { library: key.libraryId, stream: docId })
        const author = makeAuthor()
        client.send(snapshotMessage(author, { docId, parent: snapshot }))
        assert.deepInclude((yield* line("stream restored")).fields, { stream: docId, type: "SnapshotStored" })
      })
    )
  )
})
