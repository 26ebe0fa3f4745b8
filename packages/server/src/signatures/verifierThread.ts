/**
 * A thread that verifies: waits for a batch of signed texts, and answers with a byte for each. It runs no event loop: a
 * batch that comes as a message is taken from its port when it is woken for it.
 */
import { parentPort, receiveMessageOnPort, workerData } from "node:worker_threads"
import { SharedMemoryBatch, State } from "./SharedMemoryBatch.ts"
import { type SignedText, verifyBytes, verifySignature } from "./verifySignature.ts"

const batch = new SharedMemoryBatch(workerData)
const port = parentPort!

const messageOf = (): ReadonlyArray<SignedText> => receiveMessageOnPort(port)?.message ?? []

const verifyOn = (): void => {
  while (true) {
    const state = batch.waitForWork()
    if (state === State.end) return
    const genuine = state === State.here ? batch.read().map(verifyBytes) : messageOf().map(verifySignature)
    port.postMessage(Uint8Array.from(genuine, (isGenuine) => (isGenuine ? 1 : 0)))
  }
}
// Not while the module is being evaluated: a thread that is terminated within that takes the process with it (Node 26).
setImmediate(verifyOn)
