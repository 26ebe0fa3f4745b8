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

/** Two processes on one log that hear nothing of each other, and a reader that polled the other one for what it lacked. */
const polled = Effect.gen(function* () {
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
  return {
    written,
    since,
    storedSince: syncResponse(answer)?.["ackedTimestamp"],
    poll: (since: unknown) => post(one, token, [reader.sync({ since })]),
    acknowledge: (answer: Answer) => post(one, token, [reader.ack({ nonce: syncResponse(answer)?.["ackThisNonce"] })])
  }
})

describe("an answer of another process that is acknowledged", () => {
  it.live("is not sent again", () =>
    Effect.gen(function* () {
      const { poll, storedSince } = yield* polled
      assert.deepStrictEqual(timestampsOf(yield* poll(storedSince)), [])
    })
  )

  it.live("is sent again if the client ended before it had stored it", () =>
    Effect.gen(function* () {
      const { acknowledge, poll, since, written } = yield* polled
      const again = yield* poll(since)
      assert.deepStrictEqual(timestampsOf(again), [written.timestamp])
      yield* acknowledge(again)
      const next = yield* poll(syncResponse(again)?.["ackedTimestamp"])
      assert.deepStrictEqual(timestampsOf(next), [])
    })
  )
})
