/** Logs in memory for tests of administration: with real messages where signatures matter, and with any bytes elsewhere. */

import { layerMemory } from "@sealog/server/adapters/MemoryEventLog"
import { blake2b256 } from "@sealog/server/domain/Blake2b"
import { DocumentId, LibraryId } from "@sealog/server/domain/Ids"
import { advance, emptyHead, place, purgesBefore, type StreamHead, type StreamKey } from "@sealog/server/domain/Stream"
import { type DocumentEvent, toNewEvent } from "@sealog/server/domain/secsync/Events"
import { nextProof } from "@sealog/server/domain/secsync/Proofs"
import { EventLog, type PlacedEvent } from "@sealog/server/ports/EventLog"
import { Signals } from "@sealog/server/ports/Signals"
import { makeDecoder } from "@sealog/server/protocols/secsync/Wire"
import { Signatures } from "@sealog/server/signatures/Signatures"
import { type Author, snapshotMessage, updateMessage } from "@sealog/server/testing"
import { Context, Effect, Layer } from "effect"

export const key: StreamKey = { libraryId: LibraryId.make("notes"), streamId: DocumentId.make("welcome") }
export const docId = key.streamId
export const decode = makeDecoder()

/** Stores messages without checking any rule, so that a test can store what no server would. */
export const store = Effect.fnUntraced(function* (start: StreamHead, messages: ReadonlyArray<object>, at = key) {
  const log = yield* EventLog
  let head = start
  for (const json of messages) {
    const message = decode(JSON.stringify(json))
    if (message._tag !== "Snapshot" && message._tag !== "Update") throw new Error(`not a message: ${message._tag}`)
    const { payload } = message
    const data =
      message._tag === "Snapshot"
        ? {
            _tag: "SnapshotStored" as const,
            snapshotId: message.snapshotId,
            ciphertextHash: message.ciphertextHash,
            parentSnapshotProof: message.parentSnapshotProof,
            parentSnapshotId: message.parentSnapshotId,
            parentSnapshotUpdateClocks: Object.fromEntries(message.parentSnapshotUpdateClocks),
            pubKey: message.pubKey
          }
        : {
            _tag: "UpdateStored" as const,
            refSnapshotId: message.refSnapshotId,
            pubKey: message.pubKey,
            clock: message.clock
          }
    const event = place(at, head, toNewEvent(data, blake2b256(payload)), "test", 0)
    yield* log.append([{ key: at, expectedVersion: head.version, events: [{ event, payload }] }])
    head = advance(head, event)
  }
  return head
})

/** A snapshot, two updates, a snapshot, two updates: versions 1 to 6. */
export const history = (author: Author) => {
  const first = snapshotMessage(author, { docId, snapshotId: "first" })
  const update = (refSnapshotId: string, clock: number) => updateMessage(author, { docId, refSnapshotId, clock })
  const second = snapshotMessage(author, {
    docId,
    snapshotId: "second",
    parent: first,
    clocks: { [author.pubKey]: 1 }
  })
  return [first, update("first", 0), update("first", 1), second, update("second", 0), update("second", 1)] as const
}

// ------------------------------------------------------------------------------------------------- without messages

const pubKey = "k".repeat(43)

export const snapshot = (snapshotId: string): DocumentEvent =>
  ({
    _tag: "SnapshotStored",
    snapshotId,
    ciphertextHash: blake2b256(snapshotId),
    parentSnapshotProof: nextProof(undefined),
    parentSnapshotId: "",
    parentSnapshotUpdateClocks: {},
    pubKey
  }) as never

export const update = (clock: number, refSnapshotId = "first"): DocumentEvent =>
  ({ _tag: "UpdateStored", refSnapshotId, pubKey, clock }) as never

/** The events of a document: a snapshot and so many updates. */
export const document = (updates: number): ReadonlyArray<DocumentEvent> => [
  snapshot("first"),
  ...Array.from({ length: updates }, (_, clock) => update(clock))
]

/** Appends events without checking any rule. Snapshots and updates get a unique payload of some bytes. */
export const append = Effect.fnUntraced(function* (
  at: StreamKey,
  events: ReadonlyArray<DocumentEvent>,
  { recordedAt = 0, size = 8 } = {}
) {
  const log = yield* EventLog
  const [start = emptyHead] = yield* log.heads([at])
  let head = start
  let purgeBefore = 0
  const placed = events.map((data): PlacedEvent => {
    const text = `${at.streamId} ${head.version} `.padEnd(size, "x")
    const payload = data._tag === "SnapshotStored" || data._tag === "UpdateStored" ? Buffer.from(text) : null
    const hash = payload === null ? "" : blake2b256(payload)
    const event = place(at, head, toNewEvent(data, hash), "test", recordedAt + head.version)
    head = advance(head, event)
    purgeBefore = Math.max(purgeBefore, purgesBefore(event))
    return { event, payload }
  })
  for (let from = 0; from < placed.length; from += 2000) {
    const [first, ...rest] = placed.slice(from, from + 2000).map(({ event, payload }) => ({
      event,
      payload: event.version < purgeBefore ? null : payload
    }))
    yield* log.append([{ key: at, expectedVersion: first!.event.version - 1, events: [first!, ...rest], purgeBefore }])
  }
  return head
})

export type Log = Context.Context<EventLog | Signals | Signatures>

/** A fresh log in memory. */
export const memory = Layer.build(Layer.fresh(Layer.mergeAll(layerMemory, Signals.layerNone, Signatures.layerInline)))

/** Runs an effect on a log. */
export const on = <A, E>(log: Log, effect: Effect.Effect<A, E, EventLog | Signals | Signatures>) =>
  Effect.provideContext(effect, log)

/** The log with some of its methods replaced. */
export const changed = (log: Log, change: (log: EventLog["Service"]) => Partial<EventLog["Service"]>): Log => {
  const service = Context.get(log, EventLog)
  return Context.add(log, EventLog, EventLog.of({ ...service, ...change(service) }))
}

/** The log that runs an effect once, before its n-th read or append. */
export const interposed = (
  log: Log,
  method: "read" | "append",
  n: number,
  act: Effect.Effect<unknown, unknown>
): Log => {
  let count = 0
  const first = Effect.suspend(() => (++count === n ? Effect.orDie(act) : Effect.void))
  return changed(log, (service) =>
    method === "read"
      ? { read: (at, options) => Effect.andThen(first, service.read(at, options)) }
      : { append: (batch) => Effect.andThen(first, service.append(batch)) }
  )
}

/** The head of every stream in a log, with the number and size of its payloads. */
export const holdings = Effect.gen(function* () {
  const streams = yield* (yield* EventLog).streams({ limit: 10_000 })
  return streams.map(({ key, version, generation, chain, checkpoint, payloads, payloadBytes }) => ({
    ...key,
    ...{ version, generation, chain, checkpoint, payloads, payloadBytes }
  }))
})
