/** Rows of a database, as a storage reads them: damaged, or of a later version. */
import { LibraryId } from "@sealog/server/domain/Ids"
import type { StreamEvent } from "@sealog/server/domain/Stream"
import { fromStreamEvent as documentEventOf } from "@sealog/server/domain/secsync/Events"
import { fromStreamEvent as libraryEventOf } from "@sealog/server/domain/verdant/Events"
import {
  decodeFolded,
  decodeItems,
  decodeMerged,
  decodePart,
  decodeSent
} from "@sealog/server/domain/verdant/model/PayloadCodec"
import { eventOf, type PlacedEventRow, placedEventOf } from "@sealog/server/storage/EventCodec"
import { packMessage, unpackMessage } from "@sealog/server/storage/SealedMessageCodec"
import { Effect } from "effect"
import { expect, type Fuzzer, textOf } from "../Fuzzer.ts"
import { chance } from "../inputs/choose.ts"
import { mutate, mutateMessage } from "../inputs/mutate.ts"
import { secsyncMessages, verdantBaselines, verdantOperations } from "../inputs/samples.ts"

const key = { libraryId: LibraryId.make("notes"), streamId: "welcome" }

const update = secsyncMessages[2] as { readonly publicData: { readonly docId: string } }
const { docId: _, ...updateData } = update.publicData

const row = (type: string, data: object): PlacedEventRow => ({
  ...{ version: 1, generation: 0, type, data: JSON.stringify(data) },
  ...{ payload_hash: Buffer.alloc(32), chain: Buffer.alloc(32), origin: "fuzz" },
  ...{ recorded_at: 0, checkpoint: 0, unique_key: null, payload: null }
})

/** Whether a decoder returns a value. Any error that is not one of these is a finding. */
const isDecoded = (decode: () => void, ...errors: ReadonlyArray<string>): boolean => {
  try {
    decode()
    return true
  } catch (error) {
    if (error instanceof Error && errors.includes(error.name)) return false
    throw error
  }
}

const DATA = [
  updateData,
  { before: 3 },
  { objects: 1, operations: 2 },
  { of: 2, part: 0 },
  { replicaId: "r", userId: "ada", type: 0, reset: true, asOf: "" }
]
const TYPES = [
  "UpdateStored",
  "Pruned",
  "ReplicaJoined",
  "Folded",
  "OperationsMerged",
  "CheckpointPart",
  "Evicted",
  "constructor"
]

export const storedEvent: Fuzzer = {
  name: "stored-event",
  allows: "an event, `LogDamaged` or `SchemaError`.",
  inputs: 5000,
  open: Effect.succeed({
    input: (random) =>
      Buffer.concat([Buffer.from(`${TYPES[random.next(TYPES.length)]}\n`), mutateMessage(random, DATA)]),
    feed: (input) => {
      const [type = "", ...data] = textOf(input).split("\n")
      let event: StreamEvent | undefined
      const isRead = isDecoded(() => {
        event = eventOf(key, { ...row(type, {}), data: data.join("\n") })
      }, "LogDamaged")
      const found = event
      if (!isRead || found === undefined) return "refusal"
      const ends = [documentEventOf, libraryEventOf].map((decode) => isDecoded(() => decode(found), "SchemaError"))
      return ends.includes(true) ? "value" : "refusal"
    }
  })
}

const PAYLOADS = secsyncMessages.map((message) => {
  const { ciphertext, nonce, publicData, signature } = message as Readonly<Record<string, unknown>>
  return JSON.stringify({ ciphertext, nonce, publicData, signature })
})
const events = [row("UpdateStored", updateData), row("SnapshotStored", { ciphertextHash: "x" })].map((one) =>
  eventOf(key, one)
)
const PACKED = PAYLOADS.flatMap((payload) => events.map((event) => packMessage(key, event, Buffer.from(payload))))

export const packedPayload: Fuzzer = {
  name: "packed-payload",
  allows: "a payload; never throws. Any payload is unpacked as it was packed.",
  inputs: 10_000,
  open: Effect.succeed({
    input: (random) => mutate(random, chance(random, 50) ? PAYLOADS : PACKED),
    feed: (input) => {
      for (const event of events) {
        unpackMessage(key, event, input)
        const again = unpackMessage(key, event, packMessage(key, event, input))
        expect(Buffer.from(again).equals(input), "a payload is unpacked as it was packed")
      }
      const codec = { pack: packMessage, unpack: unpackMessage }
      const placed = placedEventOf(codec, key, { ...row("UpdateStored", updateData), payload: input })
      expect(placed.payload !== null, "the payload is there")
      return "value"
    }
  })
}

const folded = {
  ...{ watermark: null, foldedUpTo: 0, replicas: [], files: [] },
  ...{ operations: verdantOperations.map((operation) => [1, "r", operation]), baselines: verdantBaselines }
}

const SAMPLES = [
  { operations: verdantOperations, baselines: verdantBaselines },
  folded,
  [["notes/a", 2]],
  { baselines: verdantBaselines, batches: [[1, "r", verdantOperations]], formerReplicas: [["r", "ada"]] }
]

export const libraryPayload: Fuzzer = {
  name: "library-payload",
  allows: "operations and baselines, or `PayloadDamaged`.",
  inputs: 4000,
  open: Effect.succeed({
    input: (random) => mutateMessage(random, SAMPLES),
    feed: (input) => {
      const payload = Uint8Array.from(input)
      const ends = [decodeItems, decodeSent, decodeFolded, decodeMerged, decodePart].map((decode) =>
        isDecoded(() => decode(payload), "PayloadDamaged")
      )
      return ends.includes(true) ? "value" : "refusal"
    }
  })
}
