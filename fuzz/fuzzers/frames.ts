/** Text frames of both protocols, before and after they are parsed, and the frames that the server makes. */
import { blake2b256 } from "@sealog/server/domain/Blake2b"
import { LibraryId } from "@sealog/server/domain/Ids"
import { emptyHead, place } from "@sealog/server/domain/Stream"
import { compact, everything, valueOf } from "@sealog/server/domain/verdant/Compaction"
import { ReplicaId, toNewEvent, VERDANT } from "@sealog/server/domain/verdant/Events"
import { evolve } from "@sealog/server/domain/verdant/Evolve"
import { decodeFolded, encodeItems, type Items } from "@sealog/server/domain/verdant/model/PayloadCodec"
import { initial } from "@sealog/server/domain/verdant/State"
import { textFrame, textFrameInPieces } from "@sealog/server/protocols/Frame"
import { hasFewValues } from "@sealog/server/protocols/JsonBudget"
import { makeDecoder, parseKnownClocks, snapshotFrame, updateFrame } from "@sealog/server/protocols/secsync/Wire"
import { decodeText } from "@sealog/server/protocols/verdant/Wire"
import { HashMap } from "effect"
import * as Effect from "effect/Effect"
import { expect, type Fuzzer, textOf } from "../Fuzzer.ts"
import { chance, few, oneOf } from "../inputs/choose.ts"
import { mutate, mutateMessage } from "../inputs/mutate.ts"
import { secsyncMessages, verdantMessages } from "../inputs/samples.ts"

const decodeSecsync = makeDecoder()

export const secsyncFrame: Fuzzer = {
  name: "secsync-frame",
  allows: "a message, or `Malformed`; never throws. A message that is stored decodes to itself.",
  inputs: 5000,
  open: Effect.succeed({
    input: (random) => mutateMessage(random, secsyncMessages),
    feed: (input) => {
      const message = decodeSecsync(textOf(input))
      if (!("payload" in message)) return "refusal"
      const again = decodeSecsync(textOf(message.payload))
      expect("payload" in again && textOf(again.payload) === textOf(message.payload), "it decodes to itself")
      expect("signed" in again && again.signed.text === message.signed.text, "the signature covers what is stored")
      const [type, frame] =
        message._tag === "Snapshot"
          ? (["snapshot", snapshotFrame(message.payload)] as const)
          : (["update", updateFrame(message.payload)] as const)
      expect(JSON.parse(unframe(frame)).type === type, "others are sent JSON with the type")
      if (message._tag === "Snapshot") {
        const clocks = (of: ReadonlyMap<string, number>) => JSON.stringify(Object.fromEntries(of))
        const sent = clocks(message.parentSnapshotUpdateClocks)
        expect(clocks(parseKnownClocks(sent)) === sent, "its clocks can be sent in a URL")
      }
      return "value"
    }
  })
}

const LIBRARY = { libraryId: LibraryId.make("fuzz"), streamId: VERDANT }
const AUTHOR = { replicaId: ReplicaId.make("r"), userId: "ada", type: 0 }

export const verdantFrame: Fuzzer = {
  name: "verdant-frame",
  allows:
    "a message, or `Malformed`; never throws. Accepted operations and baselines can be stored, read and compacted.",
  inputs: 5000,
  open: Effect.succeed({
    input: (random) => mutateMessage(random, verdantMessages),
    feed: (input) => {
      const message = decodeText(textOf(input), { userId: "ada", readOnly: false })
      if (message._tag === "Sync") storeAndCompact(message.operations.items, message.baselines.items)
      if (message._tag === "Operations") storeAndCompact(message.operations.items, [])
      return message._tag === "Malformed" || message._tag === "NotJson" ? "refusal" : "value"
    }
  })
}

/** Does with items what a library does: stores them, reads them from the log, makes values of them, and compacts them. */
const storeAndCompact = (operations: Items["operations"], baselines: Items["baselines"]): void => {
  if (operations.length + baselines.length === 0) return
  // A copy: the codec remembers the bytes that it encoded itself.
  const payload = Uint8Array.from(encodeItems({ operations, baselines }))
  const counts = { operations: operations.length, baselines: baselines.length, initial: false, wrote: null }
  const stored = toNewEvent({ _tag: "OperationsStored", ...AUTHOR, ...counts }, blake2b256(payload))
  const state = evolve(initial, place(LIBRARY, emptyHead, stored, "fuzz", 0), payload)
  for (const entity of HashMap.values(state.entities)) valueOf(entity)
  const due = { ...state, watermark: "zzzz", replicas: new Map() }
  const compacted = compact(due, { isTruant: () => true, portion: everything })
  if (compacted !== undefined) decodeFolded(Uint8Array.from(compacted.payload))
}

export const jsonBudget: Fuzzer = {
  name: "json-budget",
  allows: "a boolean; never throws. For JSON it is exact.",
  inputs: 5000,
  open: Effect.succeed({
    input: (random) => mutateMessage(random, [...secsyncMessages, ...verdantMessages]),
    feed: (input) => {
      const text = textOf(input)
      let isJson = true
      try {
        JSON.parse(text)
      } catch {
        isJson = false
      }
      const count = text.replace(/"(?:[^"\\]|\\.)*"/g, "").match(/[,[{]/g)?.length ?? 0
      for (const max of [0, count - 1, count, count + 1, 4_000_000]) {
        const isFew = hasFewValues(text, max)
        if (isJson && max >= 0) expect(isFew || count > max, `${count} values are at most ${max}`)
        if (isJson && max >= 0) expect(!isFew || count <= max || text.length <= max, `${count} values exceed ${max}`)
      }
      return isJson ? "value" : "refusal"
    }
  })
}

/** Lengths of texts around those at which the header of a frame grows. */
const LENGTHS = [0, 1, 124, 125, 126, 127, 65_534, 65_535, 65_536, 70_000]

export const madeFrame: Fuzzer = {
  name: "made-frame",
  allows: "a frame that holds the parts, whole and in pieces; never throws.",
  inputs: 5000,
  open: Effect.succeed({
    input: (random) => {
      const content = mutate(random, ["a", "\u00e9", "\u{1F600}", '{"type":"update"}'])
      const length = chance(random, 50) ? oneOf(random, LENGTHS) : few(random, 20) * random.next(1000)
      return Buffer.alloc(length, content.length === 0 ? "x" : content)
    },
    feed: (input) => {
      // The first byte says where the parts end, and which of them are bytes.
      const step = 1 + (input[0] ?? 0) * 37
      const parts = Array.from({ length: Math.min(50, Math.ceil(input.length / step)) }, (_, i) => {
        const part = input.subarray(i * step, (i + 1) * step)
        return i % 2 === 0 ? part : textOf(part)
      })
      const [frame, pieces] = [textFrame(parts), textFrameInPieces(parts)]
      expect(Buffer.concat(pieces).equals(frame), "the pieces are the frame")
      const content = Buffer.concat(parts.map((part) => Buffer.from(part as string)))
      expect(contentOf(frame).equals(content), "the frame holds the parts")
      return "value"
    }
  })
}

const unframe = (frame: Uint8Array): string => contentOf(frame).toString()

/** The content of an unmasked text frame (RFC 6455 section 5.2). */
const contentOf = (frame: Uint8Array): Buffer => {
  const bytes = Buffer.from(frame)
  expect(bytes[0] === 0x81, "it is one text frame")
  const short = bytes[1]!
  const [header, length] =
    short < 126 ? [2, short] : short === 126 ? [4, bytes.readUInt16BE(2)] : [10, Number(bytes.readBigUInt64BE(2))]
  expect(bytes.length === header + length, "the header has the length")
  return bytes.subarray(header)
}
