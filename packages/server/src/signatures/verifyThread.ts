/** A thread that verifies: a batch of signed texts in, a byte for each out. */
import { parentPort } from "node:worker_threads"
import { type SignedText, verifySignature } from "./verifySignature.ts"

parentPort?.on("message", (batch: ReadonlyArray<SignedText>) => {
  parentPort?.postMessage(Uint8Array.from(batch, (signed) => (verifySignature(signed) ? 1 : 0)))
})
