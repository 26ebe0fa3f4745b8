/** A client's answer and its acknowledgement may go to two processes, of which the second has not heard of the content. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { type Answer, post, syncResponse } from "#test-support/clients/RawVerdant"
import { startMemoryServer } from "#test-support/servers/TestServer"
import { makeTroubledLog } from "#test-support/storage/TroubledLog"
import { libraryOn } from "#test-support/verdant/Library"
import { initialize, makeReplica, set } from "#test-support/verdant/Replica"

const timestampsOf = (answer: Answer): ReadonlyArray<string> => {
  const operations = syncResponse(answer)?.["operations"] as ReadonlyArray<{ readonly timestamp: string }> | undefined
  assert.isDefined(operations)
  return operations.map(({ timestamp }) => timestamp)
}

describe("an answer of another process", () => {
  it.live("is acknowledged to a process that has not heard of its content, and is not sent again", () =>
    Effect.gen(function* () {
      const { layer } = yield* makeTroubledLog
      const [one, other] = [
        libraryOn(yield* startMemoryServer({}, layer), "shared"),
        libraryOn(yield* startMemoryServer({}, layer), "shared")
      ]
      const token = yield* one.token({ userId: "ada" })
      const [writer, reader] = [makeReplica(), makeReplica()]
      yield* post(one, token, [writer.sync({ operations: [writer.operation("item/x", initialize({}))] })])
      const joined = syncResponse(yield* post(one, token, [reader.sync({ resyncAll: true })]))
      yield* post(one, token, [reader.ack({ nonce: joined?.["ackThisNonce"] })])

      const written = writer.operation("item/x", set("n", 1))
      yield* post(other, token, [writer.op(written)])
      const since = joined?.["ackedTimestamp"]
      const answer = yield* post(other, token, [reader.sync({ since })])
      assert.include(timestampsOf(answer), written.timestamp)
      yield* post(one, token, [reader.ack({ nonce: syncResponse(answer)?.["ackThisNonce"] })])
      const next = yield* post(one, token, [reader.sync({ since: syncResponse(answer)?.["ackedTimestamp"] })])
      assert.deepStrictEqual(timestampsOf(next), [])
    })
  )
})
