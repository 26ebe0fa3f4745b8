/**
 * Decodes large frames on a thread, so that other clients do not wait for one. The thread also verifies the signature, hashes the
 * message and packs it, because each of these takes as long as the decoding (docs/decisions/0076-large-messages-on-threads.md).
 */
import { availableParallelism } from "node:os"
import { Worker } from "node:worker_threads"
import { Effect, type Scope } from "effect"
import { handedOver, makeJobThreads } from "../../internal/JobThreads.ts"
import * as Metrics from "../../metrics/Metrics.ts"
import type { DecodedLarge, DecodeJob } from "./decodeLarge.ts"
import { acceptsOf, type ClientMessage, isAccepted, malformedOf, type PublicDataSchemas } from "./Wire.ts"

/** Decodes a frame's UTF-8 text, whose buffer it takes. Dies if the thread fails. */
export type DecodeLarge = (text: Uint8Array) => Effect.Effect<ClientMessage>

/** Messages that are decoded at a time. The memory for large messages bounds them further. */
const MAX_THREADS = 4

/** Starts the thread from the sources or from the build, whichever this file is in. */
const spawn = (): Worker => {
  const file = import.meta.url.endsWith(".ts") ? "./decoderThread.ts" : "./decoderThread.js"
  return new Worker(new URL(file, import.meta.url))
}

const onThread = Metrics.signaturesVerified.at({ thread: "verifier" })

export const makeLargeDecoder = Effect.fnUntraced(function* (
  schemas: PublicDataSchemas = {}
): Effect.fn.Return<DecodeLarge, never, Scope.Scope> {
  const size = Math.max(1, Math.min(availableParallelism() - 1, MAX_THREADS))
  const threads = yield* makeJobThreads<DecodeJob, DecodedLarge>(size, spawn)
  const accepts = acceptsOf(schemas)
  // The app's schemas are functions, which cannot be sent to a thread.
  const returnsPublicData = Object.keys(schemas).length > 0
  return (text) => {
    const bytes = handedOver(text)
    return Effect.map(threads.run({ bytes, returnsPublicData }, [bytes.buffer]), ({ message, publicData }) => {
      if (!("signed" in message)) return message
      onThread.add()
      return isAccepted(accepts, message, publicData) ? message : malformedOf(message)
    })
  }
})
