/** The debug lines that follow a frame through the server. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Logger, type LogLevel, References } from "effect"
import { connectRaw } from "#test-support/clients/RawSecsync"
import { connectVerdant, registerReplica } from "#test-support/clients/RawVerdant"
import { startDocument } from "#test-support/secsync/startDocument"
import { startMemoryServer } from "#test-support/servers/TestServer"
import { libraryOn } from "#test-support/verdant/Library"
import { initialize, makeReplica } from "#test-support/verdant/Replica"
import { updateMessage } from "../../src/testing/SealedMessages.ts"

interface Line {
  readonly message: string
  readonly fields: Readonly<Record<string, unknown>>
}

/** Runs a program at a log level, and returns the lines of frames so far in `lines`. */
const atLevel = <A, E, R>(
  level: LogLevel.LogLevel,
  program: (lines: ReadonlyArray<Line>) => Effect.Effect<A, E, R>
) => {
  const lines: Array<Line> = []
  const collector = Logger.make(({ fiber, message }) => {
    const text = String(Array.isArray(message) ? message[0] : message)
    if (text.startsWith("frame ")) lines.push({ message: text, fields: fiber.getRef(References.CurrentLogAnnotations) })
  })
  return program(lines).pipe(
    Effect.provide(Logger.layer([collector])),
    Effect.provideService(References.MinimumLogLevel, level)
  )
}

const stagesOf = (lines: ReadonlyArray<Line>, fits: (fields: Line["fields"]) => boolean) =>
  lines.filter(({ fields }) => fits(fields)).map(({ message }) => message.slice("frame ".length))

describe("the frame log", () => {
  it.live("follows a Secsync update from its arrival to the other clients", () =>
    atLevel("Debug", (lines) =>
      Effect.gen(function* () {
        const server = yield* startMemoryServer()
        const { author, client, docId, key, options, refSnapshotId } = yield* startDocument(server)
        const reader = yield* connectRaw(options)
        const before = lines.length
        client.send(updateMessage(author, { docId, refSnapshotId, clock: 0 }))
        yield* client.next("update-saved")
        yield* reader.next("update")
        const written = lines.slice(before)
        assert.deepStrictEqual(
          written.map(({ message }) => message),
          ["received", "verified", "decided", "committed", "acknowledged", "fanned out"].map(
            (stage) => `frame ${stage}`
          )
        )
        const sessions = new Set(written.slice(0, -1).map(({ fields }) => fields["session"]))
        assert.strictEqual(sessions.size, 1, "the author's session is named on each of its lines")
        for (const { message, fields } of written) {
          assert.deepStrictEqual([fields["library"], fields["stream"]], [key.libraryId, key.streamId], message)
        }
        for (const { message, fields } of written.slice(2)) assert.strictEqual(fields["version"], 2, message)
        for (const { message, fields } of written.slice(1, -1)) assert.isNumber(fields["ms"], message)
        assert.strictEqual(written.at(-1)?.fields["sessions"], 2)
      })
    )
  )

  it.live("names the rule that refuses an update", () =>
    atLevel("Debug", (lines) =>
      Effect.gen(function* () {
        const server = yield* startMemoryServer()
        const { author, client, docId, refSnapshotId } = yield* startDocument(server)
        client.send(updateMessage(author, { docId, refSnapshotId, clock: 7 }))
        yield* client.next("update-save-failed")
        const refused = lines.filter(({ message }) => message === "frame refused")
        assert.deepStrictEqual(
          refused.map(({ fields }) => fields["rule"]),
          ["ClockAhead"]
        )
      })
    )
  )

  it.live("follows a Verdant operation, with its replica", () =>
    atLevel("Debug", (lines) =>
      Effect.gen(function* () {
        const server = yield* startMemoryServer()
        const library = libraryOn(server)
        const connection = yield* connectVerdant(library, yield* library.token({ userId: "ada" }))
        const replica = makeReplica()
        yield* registerReplica(connection, replica)
        const before = lines.length
        connection.send(replica.op(replica.operation("item/1", initialize({}))))
        yield* connection.next("server-ack")
        yield* connection.settled
        const written = lines.slice(before)
        const stages = stagesOf(written, ({ library: id, type }) => id === library.id && type !== "CursorsAdvanced")
        assert.includeMembers(stages, ["received", "decided", "committed", "fanned out", "acknowledged"])
        const received = written.find(({ message }) => message === "frame received")
        assert.deepStrictEqual([received?.fields["replica"], received?.fields["operations"]], [replica.id, 1])
      })
    )
  )

  it.live("writes nothing at the level of a server that people run", () =>
    atLevel("Info", (lines) =>
      Effect.gen(function* () {
        const server = yield* startMemoryServer()
        yield* startDocument(server)
        assert.deepStrictEqual(lines, [])
      })
    )
  )
})
