/** The floor: how many signatures of an update's size one core verifies when it does nothing else. */

import { makeAuthor, updateMessage } from "@sealog/server/testing"
import { makeDecoder } from "#server/protocols/secsync/Wire"
import { type SignedText, verifySignature } from "#server/signatures/verifySignature"

export const signedUpdate = (): SignedText => {
  const update = updateMessage(makeAuthor(), { docId: "floor", refSnapshotId: "floor", clock: 0, ciphertext: 100 })
  const message = makeDecoder()(JSON.stringify(update))
  if (message._tag !== "Update") throw new Error(message._tag)
  return message.signed
}

const signed = signedUpdate()

/** Signatures per second of this thread's processor time: of a core that other processes want, the thread has a part alone. */
export const verifiedPerSecond = (milliseconds: number, verify = verifySignature): number => {
  const [start, before] = [performance.now(), process.threadCpuUsage()]
  let count = 0
  while (performance.now() - start < milliseconds) {
    if (!verify(signed)) throw new Error("the signature is not valid")
    count += 1
  }
  const { system, user } = process.threadCpuUsage(before)
  return (count * 1e6) / (system + user)
}
