/** Frames are handled at once where nothing makes them wait. Any frames have the same result where something does. */
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Exit, Fiber, Layer, Scope } from "effect"
import fc from "fast-check"
import * as MemoryEventLog from "../../../src/adapters/MemoryEventLog.ts"
import { DocumentId, LibraryId, UserId } from "../../../src/domain/Ids.ts"
import { provideServices } from "../../../src/edge/Services.ts"
import { nextTurn } from "../../../src/internal/nextTurn.ts"
import { Access } from "../../../src/ports/Access.ts"
import { EventLog } from "../../../src/ports/EventLog.ts"
import { Signals } from "../../../src/ports/Signals.ts"
import type { Connection } from "../../../src/protocols/Connection.ts"
import { textOfFrame } from "../../../src/protocols/Frame.ts"
import { receive } from "../../../src/protocols/ProtocolSession.ts"
import { nothingKnown } from "../../../src/protocols/secsync/DocumentContent.ts"
import { DocumentRooms } from "../../../src/protocols/secsync/Rooms.ts"
import { SecsyncSessions } from "../../../src/protocols/secsync/Sessions.ts"
import type { StoredHookOptions } from "../../../src/protocols/secsync/StoredHooks.ts"
import { Signatures } from "../../../src/signatures/Signatures.ts"
import { verifySignature } from "../../../src/signatures/verifySignature.ts"
import {
  type Additional,
  ephemeralMessage,
  makeAuthor,
  resign,
  snapshotMessage,
  updateMessage
} from "../../../src/testing/SealedMessages.ts"

const docId = "notes"
const documentId = DocumentId.make(docId)

// ---- frames

const [author, other] = [makeAuthor(), makeAuthor()]
const UPDATES = 12
const snapshots = [snapshotMessage(author, { docId })]
for (const clock of [2, 5]) {
  snapshots.push(snapshotMessage(other, { docId, parent: snapshots.at(-1)!, clocks: { [author.pubKey]: clock } }))
}
const updatesOf = snapshots.map(({ publicData }) =>
  Array.from({ length: UPDATES }, (_, clock) =>
    updateMessage(author, { docId, refSnapshotId: publicData.snapshotId, clock })
  )
)
const updates = updatesOf.flat()
const ephemerals = Array.from({ length: 3 }, () => ephemeralMessage(author, { docId }))

const anyOf = <A>(all: ReadonlyArray<A>) => fc.nat(all.length - 1).map((i) => all[i]!)
const anyMessage = fc.oneof(anyOf<object>(updates), anyOf<object>(snapshots), anyOf<object>(ephemerals))

/** A change of a message's fields, which its author has signed. */
const anyLie = fc.tuple(
  anyOf(updates),
  fc.oneof(
    fc.constantFrom({ docId: "other" }, { docId: 1 }, { clock: -1 }, { clock: 1.5 }, { refSnapshotId: "" }),
    fc.constantFrom({ refSnapshotId: "unknown" }, { pubKey: other.pubKey }, { pubKey: "short" }, { additional: true }),
    fc.nat(UPDATES).map((clock) => ({ clock }))
  )
)

/** A frame with other bytes than its author has sent. */
const anyMutation = fc
  .tuple(anyMessage, fc.nat(1000), fc.nat(3), fc.string({ unit: "grapheme", maxLength: 2 }))
  .map(([message, at, cut, put]) => {
    const text = JSON.stringify(message)
    const from = at % text.length
    return text.slice(0, from) + put + text.slice(from + cut)
  })

/** Undefined: the author's next update to the snapshot that it wrote last. */
const anyFrame = fc.oneof(
  { weight: 8, arbitrary: fc.constant(undefined) },
  { weight: 2, arbitrary: anyMessage.map((message) => JSON.stringify(message)) },
  { weight: 2, arbitrary: anyOf(snapshots).map((message) => JSON.stringify(message)) },
  { weight: 2, arbitrary: anyMutation },
  { weight: 1, arbitrary: anyLie.map(([message, lie]) => JSON.stringify(resign<Additional>(author, message, lie))) },
  { weight: 1, arbitrary: fc.constantFrom("", "{}", "[]", "null", '{"publicData":{}}', "\ud800") }
)

/** The frames of a client that arrive together, one group after the other. */
const anyGroups = fc
  .array(fc.array(anyFrame, { minLength: 1, maxLength: 8 }), { minLength: 1, maxLength: 8 })
  .map((groups) => {
    let [snapshot, next] = [0, 0]
    const [first, ...rest] = groups
    return [[JSON.stringify(snapshots[0]), ...first!], ...rest].map((frames) =>
      frames.map((frame) => {
        const written = snapshots.findIndex((message) => frame === JSON.stringify(message))
        if (written > snapshot) [snapshot, next] = [written, 0]
        return frame ?? JSON.stringify(updatesOf[snapshot]![next++ % UPDATES])
      })
    )
  })

// ---- servers

/** Waits, but for less than a turn of the event loop, in which a commit could end. */
const shortWait = Effect.callback<void>((resume) => queueMicrotask(() => resume(Effect.void)))

const atOnce = Signatures.layerInline
const later = Layer.succeed(
  Signatures,
  Signatures.of({ verify: (signed) => Effect.as(shortWait, signed.map(verifySignature)) })
)

const makeServer = (
  signatures: Layer.Layer<Signatures>,
  hooks: StoredHookOptions = {},
  allows?: Access["Service"]["allows"]
) => {
  const access = Access.of({
    verify: () => Effect.die("no token"),
    mint: () => Effect.die("no token"),
    ended: () => Effect.never,
    ...(allows && { allows })
  })
  return Layer.effectContext(Effect.context<DocumentRooms | EventLog | SecsyncSessions>()).pipe(
    provideServices({ secsync: hooks, scrub: { bytesPerSecond: 0 } }),
    Layer.provideMerge(Layer.mergeAll(MemoryEventLog.layerMemory, signatures, Layer.succeed(Access, access))),
    Layer.provide(Signals.layerNone),
    Layer.build
  )
}
type Server = Effect.Success<ReturnType<typeof makeServer>>

const isEphemeral = (text: string): boolean => text.startsWith('{"type":"ephemeral-message"')

const makeConnection = (id: string) => {
  const sent: Array<string> = []
  let isSentAway = false
  const note = (text: string) => {
    if (!isSentAway) sent.push(text)
  }
  const connection: Connection = {
    id,
    send: (...frame) => note(textOfFrame(frame)),
    sendVolatile: (frame) => note(textOfFrame([frame])),
    hold: () => () => {},
    close: (code, reason) => {
      note(`${code} ${reason}`)
      isSentAway = true
    },
    isSentAway: () => isSentAway
  }
  /**
   * Returns the frames since the last call, and how the connection was closed. Ephemeral messages come last: they are relayed at
   * once, and so before an event of an earlier frame or after it.
   */
  const take = () => {
    const taken = sent.splice(0)
    return [...taken.filter((text) => !isEphemeral(text)), ...taken.filter(isEphemeral)]
  }
  return { connection, take }
}

const anyClient = {
  documentId,
  mode: "complete",
  known: nothingKnown,
  grant: {
    ...{ userId: UserId.make("somebody"), documents: undefined, readOnly: false, replicaType: 0 },
    ...{ expiresAt: Number.MAX_SAFE_INTEGER, tokenId: undefined, issuedAt: undefined }
  }
} as const

/** Has a server handle frames in a new library. Returns all that clients were sent, the state, and the log. */
const handleAll = Effect.fnUntraced(function* (
  server: Server,
  groups: ReadonlyArray<ReadonlyArray<string>>,
  run: number
) {
  const libraryId = LibraryId.make(`library-${run}`)
  const key = { libraryId, streamId: docId }
  const request = { ...anyClient, grant: { ...anyClient.grant, libraryId } }
  const open = Effect.fnUntraced(function* (id: string) {
    const client = makeConnection(id)
    const session = yield* Context.get(server, SecsyncSessions).open(client.connection, request)
    return { ...client, session: session! }
  })
  const reader = yield* open("reader")
  let writer = yield* open("writer")
  const seen: Array<ReadonlyArray<string>> = []
  for (const group of groups) {
    yield* receive(writer.session, group)
    yield* writer.session.answered
    // The answer to an event precedes its fan-out.
    yield* nextTurn
    seen.push(writer.take(), reader.take())
    if (writer.connection.isSentAway()) writer = yield* open("writer")
  }
  const room = yield* Context.get(server, DocumentRooms).get(key)
  const log = yield* Context.get(server, EventLog).read(key, { after: 0 })
  return { seen, state: room.state(), log }
}, Effect.scoped)

describe("frames that wait", () => {
  it.effect("have the answers, the state and the bytes of frames that are handled at once", () =>
    Effect.gen(function* () {
      const plain = yield* makeServer(atOnce)
      const verifying = yield* makeServer(later)
      const asking = yield* makeServer(later, { beforeStored: () => Effect.as(shortWait, "store") }, () =>
        Effect.as(shortWait, true)
      )
      const types = new Set<string>()
      let run = 0
      yield* Effect.promise(() =>
        fc.assert(
          fc.asyncProperty(anyGroups, (groups) =>
            Effect.gen(function* () {
              run += 1
              const expected = yield* handleAll(plain, groups, run)
              assert.deepStrictEqual(yield* handleAll(verifying, groups, run), expected)
              // Between two questions to the app a commit may end, and its answer then precedes a refusal.
              const { log, state } = yield* handleAll(asking, groups, run)
              assert.deepStrictEqual({ log, state }, { log: expected.log, state: expected.state })
              const alone = groups.flat().map((frame) => [frame])
              assert.deepStrictEqual(yield* handleAll(asking, alone, -run), yield* handleAll(plain, alone, -run))
              for (const text of expected.seen.flat()) {
                types.add(text.startsWith("{") ? JSON.parse(text).type : text.slice(0, 4))
              }
            }).pipe(Effect.runPromise)
          ),
          { numRuns: 60 }
        )
      )
      assert.includeMembers(
        [...types],
        ["update-saved", "update-save-failed", "snapshot-saved", "snapshot-save-failed", "update", "snapshot", "1008"]
      )
    })
  )
})

describe("frames whose signatures are verified after their session has ended", () => {
  it.effect("are not stored, and have no answer", () =>
    Effect.gen(function* () {
      const verifying: Array<() => void> = []
      const held = Layer.succeed(
        Signatures,
        Signatures.of({
          verify: () => Effect.die("only verifyThen"),
          verifyThen: (signed, done) => void verifying.push(() => done(signed.map(verifySignature)))
        })
      )
      const server = yield* makeServer(held)
      const libraryId = LibraryId.make("library")
      const { connection, take } = makeConnection("writer")
      const request = { ...anyClient, grant: { ...anyClient.grant, libraryId } }
      const scope = yield* Scope.make()
      const session = yield* Scope.provide(Context.get(server, SecsyncSessions).open(connection, request), scope)
      const verified = Effect.sync(() => verifying.shift()!())
      const storing = yield* Effect.forkChild(receive(session!, [JSON.stringify(snapshots[0])]))
      yield* nextTurn
      yield* verified
      yield* Fiber.join(storing)
      yield* session!.answered
      session!.receive([JSON.stringify(updates[0])], () => {})
      take()
      yield* Scope.close(scope, Exit.void)
      yield* verified
      yield* session!.answered
      const log = yield* Context.get(server, EventLog).read({ libraryId, streamId: docId }, { after: 0 })
      assert.deepStrictEqual(
        log.map(({ event }) => event.type),
        ["SnapshotStored"]
      )
      assert.deepStrictEqual(take(), [])
    })
  )
})
