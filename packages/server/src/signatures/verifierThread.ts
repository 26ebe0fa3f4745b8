/**
 * The code of a verifier thread: it waits for a batch of signed texts and packed updates, and answers with one byte for each. It runs no
 * event loop; when it is woken for a batch that came as a message, it takes the message from its port.
 */
import { parentPort, receiveMessageOnPort, workerData } from "node:worker_threads"
import { SharedMemoryBatch, State } from "./SharedMemoryBatch.ts"
import { type PackedUpdate, verifyPacked } from "./verifyPacked.ts"
import { type SignedBytes, verifyBytes } from "./verifySignature.ts"
import { type Signed, verifySigned } from "./verifySigned.ts"

const batch = new SharedMemoryBatch(workerData)
const port = parentPort!

const messageOf = (): ReadonlyArray<Signed> => receiveMessageOnPort(port)?.message ?? []

const verifyWritten = (signed: SignedBytes | PackedUpdate): boolean =>
  "packed" in signed ? verifyPacked(signed) : verifyBytes(signed)

const verifyOn = (): void => {
  while (true) {
    const state = batch.waitForWork()
    if (state === State.end) return
    const genuine = state === State.here ? batch.read().map(verifyWritten) : messageOf().map(verifySigned)
    port.postMessage(Uint8Array.from(genuine, (isGenuine) => (isGenuine ? 1 : 0)))
  }
}
// Not while the module is evaluated: a thread that is terminated then can end the whole process (Node 26).
setImmediate(verifyOn)
