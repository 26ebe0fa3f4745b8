/** Exports: their lines by themselves, and whole files that are imported into a log in memory. */
import { layerMemory } from "@sealog/server/adapters/MemoryEventLog"
import { exportLog } from "@sealog/server/admin/Export"
import { importLog } from "@sealog/server/admin/Import"
import { replay } from "@sealog/server/admin/Replay"
import {
  eventLine,
  headerLine,
  headerProblem,
  makeTally,
  readLine,
  trailerLine
} from "@sealog/server/admin/transfer/Format"
import { makeLines } from "@sealog/server/admin/transfer/Lines"
import { blake2b256 } from "@sealog/server/domain/Blake2b"
import { canonicalJson } from "@sealog/server/domain/CanonicalJson"
import { DocumentId, LibraryId } from "@sealog/server/domain/Ids"
import { advance, emptyHead, type NewEvent, place, type StreamHead, type StreamKey } from "@sealog/server/domain/Stream"
import { toNewEvent as documentEvent } from "@sealog/server/domain/secsync/Events"
import { toNewEvent as libraryEvent, ReplicaId, VERDANT } from "@sealog/server/domain/verdant/Events"
import { Signals } from "@sealog/server/ports/Signals"
import { makeDecoder } from "@sealog/server/protocols/secsync/Wire"
import { Signatures } from "@sealog/server/signatures/Signatures"
import { Effect, Exit, Layer, Stream } from "effect"
import type { Random } from "../../test/support/random.ts"
import { expect, type Fuzzer, refusedWith, textOf } from "../Fuzzer.ts"
import { chance, oneOf } from "../inputs/choose.ts"
import { mutate, mutateJson } from "../inputs/mutate.ts"
import { secsyncMessages, timestamp, verdantBaselines, verdantOperations } from "../inputs/samples.ts"

/** An event before it has its place, with its payload. */
interface Unplaced {
  readonly event: NewEvent
  readonly payload: Uint8Array | null
}

const DOCUMENT: StreamKey = { libraryId: LibraryId.make("notes"), streamId: DocumentId.make("welcome") }
const LIBRARY: StreamKey = { libraryId: LibraryId.make("notes"), streamId: VERDANT }
const author = { replicaId: ReplicaId.make("r"), userId: "ada", type: 0 }

const document = secsyncMessages.flatMap((json): ReadonlyArray<Unplaced> => {
  const message = makeDecoder()(JSON.stringify(json))
  if (message._tag !== "Snapshot" && message._tag !== "Update") return []
  const { payload, pubKey } = message
  const data =
    message._tag === "Snapshot"
      ? ({
          _tag: "SnapshotStored",
          ...{ pubKey, snapshotId: message.snapshotId, ciphertextHash: message.ciphertextHash },
          ...{ parentSnapshotProof: message.parentSnapshotProof, parentSnapshotId: message.parentSnapshotId },
          parentSnapshotUpdateClocks: Object.fromEntries(message.parentSnapshotUpdateClocks)
        } as const)
      : ({ _tag: "UpdateStored", refSnapshotId: message.refSnapshotId, pubKey, clock: message.clock } as const)
  return [{ event: documentEvent(data, blake2b256(payload)), payload }]
})

const withPayload = (event: (hash: ReturnType<typeof blake2b256>) => NewEvent, json: object): Unplaced => {
  const payload = Buffer.from(JSON.stringify(json))
  return { event: event(blake2b256(payload)), payload }
}

const library: ReadonlyArray<Unplaced> = [
  { event: libraryEvent({ _tag: "ReplicaJoined", ...author, reset: true, asOf: timestamp(0) }, ""), payload: null },
  withPayload(
    (hash) =>
      libraryEvent(
        {
          ...{ _tag: "OperationsStored", ...author, operations: verdantOperations.length, initial: true },
          ...{ baselines: verdantBaselines.length, wrote: timestamp(30) }
        },
        hash
      ),
    { operations: verdantOperations, baselines: verdantBaselines }
  ),
  {
    event: libraryEvent(
      { _tag: "CursorsAdvanced", cursors: { r: { received: 2, seen: 5 } }, watermark: timestamp(4) },
      ""
    ),
    payload: null
  },
  withPayload((hash) => libraryEvent({ _tag: "Folded", before: 2, baselines: 1, operations: 1 }, hash), {
    ...{ watermark: timestamp(4), foldedUpTo: 2, replicas: [], files: [] },
    ...{ operations: [[2, "r", verdantOperations[0]]], baselines: [verdantBaselines[0]] }
  })
]

/** The text of an export: each event gets its place here, so chain values and hashes are right, whatever the events hold. */
const exported = (streams: ReadonlyArray<readonly [StreamKey, ReadonlyArray<Unplaced>]>): string => {
  const tally = makeTally()
  let text = headerLine()
  for (const [key, events] of streams) {
    let head: StreamHead = emptyHead
    for (const { event, payload } of events) {
      const placed = place(key, head, event, "fuzz", 1_700_000_000_000)
      text += eventLine(key, { event: placed, payload })
      head = advance(head, placed)
    }
    tally.end(key, head)
  }
  return text + trailerLine(tally.trailer())
}

const EXPORT = exported([
  [LIBRARY, library],
  [DOCUMENT, document]
])

/** The object in a JSON text; undefined when it has no canonical JSON, so that no chain value covers it. */
const canonicalOf = (text: string): object | undefined => {
  try {
    const value: unknown = JSON.parse(text)
    if (typeof value !== "object" || value === null || Array.isArray(value)) return undefined
    canonicalJson(value)
    return value
  } catch {
    return undefined
  }
}

/** An export whose hashes are right, and whose events or payloads are not. */
const lying = (random: Random): string => {
  const lie = (events: ReadonlyArray<Unplaced>) =>
    events.map((unplaced) => {
      if (!chance(random, 30)) return unplaced
      if (unplaced.payload === null || chance(random, 40)) {
        const data = canonicalOf(mutateJson(random, unplaced.event.data))
        return data === undefined ? unplaced : { ...unplaced, event: { ...unplaced.event, data } }
      }
      const payload = chance(random, 60)
        ? Buffer.from(mutateJson(random, JSON.parse(textOf(unplaced.payload))))
        : mutate(random, [unplaced.payload])
      return { event: { ...unplaced.event, payloadHash: blake2b256(payload) }, payload }
    })
  return exported([
    [LIBRARY, lie(library)],
    [DOCUMENT, lie(document)]
  ])
}

export const exportLine: Fuzzer = {
  name: "export-line",
  allows: "an event, a trailer, or undefined; never throws. Lines do not depend on the chunks that they come in.",
  inputs: 5000,
  open: Effect.succeed({
    input: (random) => mutate(random, [...EXPORT.split("\n"), EXPORT]),
    feed: (input) => {
      const whole = makeLines(Number.MAX_SAFE_INTEGER)
      const lines = [...whole.push(input), whole.rest()]
      const pieces = makeLines(Number.MAX_SAFE_INTEGER)
      const step = 1 + (input.length % 100)
      const again: Array<string> = []
      for (let at = 0; at < input.length; at += step) again.push(...pieces.push(input.subarray(at, at + step)))
      again.push(pieces.rest())
      expect(lines.join("\n") === again.join("\n"), "the lines are the same in pieces")
      let isValue = false
      for (const line of lines) {
        headerProblem(line)
        isValue = readLine(line) !== undefined || isValue
      }
      return isValue ? "value" : "refusal"
    }
  })
}

const services = Layer.mergeAll(layerMemory, Signals.layerNone, Signatures.layerInline)

export const importedFile: Fuzzer = {
  name: "import",
  allows: "a report, `LineRefused` or `StreamDiverged`. Whatever was imported can be replayed and exported.",
  inputs: 300,
  open: Effect.succeed({
    input: (random) => oneOf(random, [() => mutate(random, [EXPORT]), () => Buffer.from(lying(random))])(),
    feed: (input) =>
      Effect.gen(function* () {
        // The rules refuse nearly every input, so half of them are judged by their shape alone.
        const isJudged = input.length % 2 === 0
        const exit = yield* Effect.exit(importLog(Stream.make(input), { verify: isJudged, withAccess: !isJudged }))
        // Replay reports any problem of the content; it fails for none.
        yield* replay()
        yield* exportLog(() => Effect.void)
        return Exit.isSuccess(exit) ? ("value" as const) : refusedWith(exit, "LineRefused", "StreamDiverged")
      }).pipe(Effect.provide(Layer.fresh(services)), Effect.runPromise)
  })
}
