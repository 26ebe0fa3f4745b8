/** Polls share the budgets of large messages with WebSockets. */
import { PassThrough } from "node:stream"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { post } from "#test-support/clients/RawVerdant"
import { askToUpgrade, frameHeader } from "#test-support/network/UpgradeByHand"
import { randomName, startMemoryServer } from "#test-support/servers/TestServer"
import { until } from "#test-support/until"
import { libraryOn } from "#test-support/verdant/Library"
import { initialize, makeReplica } from "#test-support/verdant/Replica"
import { PollAnswers } from "../../../src/edge/http/PollMemory.ts"
import { Backlog, SendBudget } from "../../../src/edge/SendBudget.ts"

const MB = 1024 * 1024

describe("a poll with a large body", () => {
  it.live("is refused with 5030 while there is no room for it, and taken once there is", () =>
    Effect.gen(function* () {
      const server = yield* startMemoryServer({ limits: { messageMemory: MB, maxFrameBytes: MB } })
      const library = libraryOn(server, randomName())
      const replica = makeReplica()
      const [small, large] = [10, 200_000].map((length) => [
        replica.sync({ resyncAll: true }),
        replica.op(replica.operation("item/1", initialize({ text: "x".repeat(length) })))
      ])
      const token = yield* library.token({ userId: "ada", type: "push" })
      const mallory = yield* server.token(library.id, { userId: "mallory" })
      const hostile = yield* askToUpgrade(server.port, `/document?sessionKey=${mallory}`)
      hostile.once("data", () => {
        hostile.write(frameHeader(MB))
        hostile.write(Buffer.alloc(MB - 1, "x"))
      })
      const status = (messages: ReadonlyArray<object>) =>
        Effect.map(post(library, token, messages), ({ status }) => status)
      yield* until(
        "the large poll is refused",
        Effect.map(status(large!), (status) => status === 503)
      )
      assert.strictEqual(yield* status(small!), 200)
      hostile.destroy()
      yield* until(
        "the large poll is taken",
        Effect.map(status(large!), (status) => status === 200)
      )
    })
  )
})

describe("a large answer to a poll", () => {
  it.live("counts piece by piece while it is made, and not after the connection is gone", () =>
    Effect.gen(function* () {
      const budget = new SendBudget(10 * MB)
      const response = new PassThrough()
      const answers = new PollAnswers(budget, response)
      const release = answers.hold(new Uint8Array(MB))
      answers.hold(new Uint8Array(MB))
      assert.approximately(budget.waiting / MB, 2, 0.1)
      release()
      assert.approximately(budget.waiting / MB, 1, 0.1)
      response.destroy()
      yield* until("nothing counts", () => budget.waiting === 0)
      answers.hold(new Uint8Array(MB))
      answers.countUntilTaken([new Uint8Array(2 * MB)])
      assert.strictEqual(budget.waiting, 0)
    })
  )

  it.live("counts until its client has taken it, and its connection ends if it is the largest", () =>
    Effect.gen(function* () {
      const budget = new SendBudget(10 * MB)
      const [taken, largest] = [new PassThrough(), new PassThrough()]
      new PollAnswers(budget, taken).countUntilTaken([new Uint8Array(2 * MB)])
      new PollAnswers(budget, largest).countUntilTaken([new Uint8Array(7 * MB)])
      assert.approximately(budget.waiting / MB, 9, 0.1)
      taken.destroy()
      yield* until("the taken answer does not count", () => budget.waiting < 8 * MB)
      new Backlog(budget, () => {}).add([new Uint8Array(4 * MB)])
      assert.isTrue(largest.destroyed)
      assert.approximately(budget.waiting / MB, 4, 0.1)
    })
  )
})
