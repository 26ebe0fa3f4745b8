/** The progress of a replica, as a connection knows it from the client's acknowledgements. */
import { assert, describe, it } from "@effect/vitest"
import { recordableReceived } from "../../../src/domain/verdant/Progress.ts"
import { Acknowledgements } from "../../../src/protocols/verdant/Acknowledgements.ts"
import { ReplicaProgress } from "../../../src/protocols/verdant/ReplicaProgress.ts"
import { nonceOf } from "../../../src/protocols/verdant/Wire.ts"
import { given, NOW, operation, stamp, sync, write } from "../../domain/verdant/decisions.ts"

/** A library in which `reader` lacks an operation of `writer`, and a connection that has sent it in its answer. */
const answered = () => {
  const { replica, state } = given(
    sync("writer", 1, { operations: [operation(1, { data: { op: "initialize", value: {} } })] }),
    sync("reader", 2),
    write("writer", operation(3)),
    // Holds nothing for the reader.
    write("writer", operation(4, { oid: "notes/diary", owner: "user", data: { op: "initialize", value: {} } }))
  )
  const reader = replica("reader")
  const progress = new ReplicaProgress()
  const acknowledgements = new Acknowledgements(state, progress)
  const content = state().version - 1
  progress.receive(state(), reader, reader.joinedAt)
  progress.offer(state(), reader, { asOf: stamp(5), isReset: false, isPolling: false, at: NOW })
  acknowledgements.answered(reader.id, content, { resetEnd: undefined, isAwaited: true })
  acknowledgements.skipped(state().version)
  return {
    ...{ acknowledgements, content, reader, state },
    /** The progress that the log may record once a client has had the time to store the answer. */
    recordable: () => {
      progress.ripen()
      progress.ripen()
      return recordableReceived(state(), reader, progress.snapshot().get(reader.id))
    }
  }
}

describe("an answer with content", () => {
  it("does not count as received while it is not acknowledged, whatever comes after it", () => {
    const { reader, recordable } = answered()
    assert.strictEqual(recordable(), reader.joinedAt)
  })

  it("counts with what came after it once its nonce is acknowledged", () => {
    const { acknowledgements, content, reader, recordable, state } = answered()
    const nonce = nonceOf({ generation: state().generation, version: content, asOf: stamp(5), isReset: false })
    acknowledgements.acknowledge(reader.id, { nonce, timestamp: undefined }, NOW)
    assert.strictEqual(recordable(), state().version)
  })

  it("counts once an operation that was sent after it is acknowledged", () => {
    const { acknowledgements, reader, recordable, state } = answered()
    acknowledgements.sent(state().version, stamp(4))
    acknowledgements.acknowledge(reader.id, { nonce: undefined, timestamp: stamp(4) }, NOW)
    assert.strictEqual(recordable(), state().version)
  })
})
