/**
 * A replica that is already being reset is not reset again. The session asks before it takes a sync, and the decision asks
 * once more after the sync has waited: both must say the same of the same replica.
 */
import { assert, describe, it } from "@effect/vitest"
import { Result } from "effect"
import type { Sync } from "../../../src/domain/verdant/Commands.ts"
import {
  contextOfLogAlone,
  type DecisionContext,
  type KnownReplica,
  type Offer
} from "../../../src/domain/verdant/Context.ts"
import { decide } from "../../../src/domain/verdant/Decide.ts"
import { isBeingReset, PROCESSING_MILLIS } from "../../../src/domain/verdant/Progress.ts"
import type { LibraryState } from "../../../src/domain/verdant/State.ts"
import { author, given, NOW, operation, stamp, sync, TRUANCY, write } from "./decisions.ts"

/** The time of the reset, which the client takes for its last sync once it has processed that. */
const RESET = stamp(2)
const { replicaId } = author("replica")
const longAgo = NOW - PROCESSING_MILLIS

/** Versions 1 to 3: the writer stored an operation, the replica was reset as of `RESET`, the writer stored another. */
const reset = () =>
  given(sync("writer", 1, { operations: [operation(0)] }), sync("replica", 2), write("writer", operation(3)))

const known: KnownReplica = {
  ...{
    received: undefined,
    seen: undefined,
    promise: undefined,
    offer: undefined,
    isUnanswered: false,
    asked: undefined
  }
}

const offered = (offer: Partial<Offer> = {}): Offer => ({
  ...{ asOf: RESET, before: null, isReset: true, isSettled: false, at: NOW, ripensIn: undefined },
  ...offer
})

const contextWith = (live: Partial<KnownReplica> | undefined, evictedAt?: number): DecisionContext => ({
  ...contextOfLogAlone({ now: NOW, truancy: TRUANCY * PROCESSING_MILLIS }),
  known: new Map(live === undefined ? [] : [[replicaId, { ...known, ...live }]]),
  evictedContent: new Map(evictedAt === undefined ? [] : [[replicaId, evictedAt]])
})

const polling = { isPolling: true }
const connected = { isPolling: false }

const states: Readonly<Record<string, () => ReturnType<typeof given>>> = {
  "without the replica": () => given(sync("writer", 1, { operations: [operation(0)] })),
  "with a reset that may not have arrived": reset,
  "with a reset that arrived": () => {
    const library = reset()
    library.when({ _tag: "AdvanceCursors" }, contextWith({ received: 3 }))
    assert.strictEqual(library.replica("replica").received, 3)
    return library
  },
  "of an evicted library": () => {
    const library = reset()
    library.when({ _tag: "EvictLibrary" })
    return library
  }
}

const knowledge: ReadonlyArray<Partial<KnownReplica> | undefined> = [
  undefined,
  ...[undefined, null, 3].flatMap((received) =>
    [
      undefined,
      ...[NOW, longAgo].flatMap((at) => [
        offered({ at }),
        offered({ at, isSettled: true }),
        offered({ at, isReset: false, before: 2 })
      ])
    ].flatMap((offer) => [true, false].map((isUnanswered) => ({ received, offer, isUnanswered })))
  )
]

interface Combination {
  readonly state: LibraryState
  readonly command: Sync
  readonly context: DecisionContext
  readonly live: Partial<KnownReplica> | undefined
  readonly name: string
}

/** Every combination of log, knowledge, last sync and transport. */
const combinations = function* (): Generator<Combination> {
  for (const [log, make] of Object.entries(states)) {
    const state = make().state()
    for (const live of knowledge) {
      for (const evictedAt of [undefined, NOW, longAgo]) {
        for (const since of [null, stamp(1), RESET, stamp(9)]) {
          for (const transport of [polling, connected]) {
            const command = sync("replica", 10, { since, ...transport })
            const name = `${log}: ${JSON.stringify({ live, evictedAt, since, ...transport })}`
            yield { state, command, context: contextWith(live, evictedAt), live, name }
          }
        }
      }
    }
  }
}

describe("a replica that is already being reset", () => {
  it("is the same for the session and for the decision, in every combination", () => {
    let resets = 0
    for (const { command, context, name, state } of combinations()) {
      const sessionSays = isBeingReset(state, command, context)
      const decision = decide(state, command, context)
      const decisionSays = Result.isFailure(decision) && decision.failure._tag === "AlreadyBeingReset"
      assert.strictEqual(decisionSays, sessionSays, name)
      if (sessionSays) resets += 1
    }
    assert.isAbove(resets, 0)
  })

  it("takes the reset for its last sync afterwards, and is then never refused, except after an eviction", () => {
    for (const { command, context, name, state } of combinations()) {
      if (state.replicas.size === 0 || command.since === null || command.since < RESET) continue
      assert.isFalse(isBeingReset(state, command, context), name)
    }
  })

  it("is known from a recent reset over any connection, until a connected client has acknowledged that it stored it", () => {
    for (const { command, context, live, name, state } of combinations()) {
      const isSent = live?.offer?.isReset === true && live.offer.at === NOW
      if (!isSent || command.since !== null || state.replicas.size === 0) continue
      const mayStillStore = command.isPolling || !live.offer.isSettled
      assert.strictEqual(isBeingReset(state, command, context), mayStillStore, name)
    }
  })

  // The session, the decision on a library with content, and the decision on an empty one once had a rule of their own each.
  // Of each of these replicas, one of them said that it is being reset, and another that it is not.
  for (const [name, log, live, evictedAt, transport] of [
    ["acknowledged the reset before it stored it", reset, { received: 3, offer: offered() }, undefined, polling],
    ["lost another answer after the reset", reset, { offer: offered(), isUnanswered: true }, undefined, polling],
    ["is connected, and has not acknowledged the reset", reset, { offer: offered() }, undefined, connected],
    ["was reset by another process", reset, undefined, undefined, polling],
    ["connects after another process reset it", reset, undefined, undefined, connected],
    ["may store content of an evicted library", states["of an evicted library"]!, undefined, NOW, polling]
  ] as const) {
    it(`is one that ${name}`, () => {
      const library = log()
      const command = sync("replica", 10, { since: null, ...transport })
      const context = contextWith(live, evictedAt)
      assert.isTrue(isBeingReset(library.state(), command, context))
      assert.deepStrictEqual(library.when(command, context), { refused: "AlreadyBeingReset" })
      const later = { ...context, now: NOW + PROCESSING_MILLIS }
      assert.isFalse(isBeingReset(library.state(), command, later))
    })
  }

  it("is one whose later sync arrived before this one, if it made this one before it stored its reset", () => {
    const library = reset()
    const asked = (at: number) => contextWith({ received: 3, asked: { timestamp: stamp(8), at } })
    const overtaken = sync("replica", 7, { since: null, ...connected })
    assert.isTrue(isBeingReset(library.state(), overtaken, asked(NOW)))
    assert.isFalse(isBeingReset(library.state(), sync("replica", 9, { since: null, ...connected }), asked(NOW)))
    assert.isFalse(isBeingReset(library.state(), sync("replica", 7, { since: RESET, ...connected }), asked(NOW)))
    // A device whose clock was set back is not kept out.
    assert.isFalse(isBeingReset(library.state(), overtaken, asked(NOW - 60_000)))
  })

  it("is not one whose only reset did not reach its connection", () => {
    const context = contextWith({ isUnanswered: true })
    assert.isFalse(isBeingReset(reset().state(), sync("replica", 10, { since: null, ...polling }), context))
  })
})
