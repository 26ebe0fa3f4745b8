/** The rules of a webhook: given its events, an event is accepted or refused. */
import { assert, describe, it } from "@effect/vitest"
import { HashMap, Option } from "effect"
import { allAtOnce, type Steps } from "../../../src/domain/Steps.ts"
import { emptyHead, place, purgesBefore } from "../../../src/domain/Stream.ts"
import {
  contentOfState,
  decide,
  evolve,
  evolved,
  initial,
  type WebhookState
} from "../../../src/domain/webhooks/Decide.ts"
import {
  payloadOf,
  toNewEvent,
  type WebhookContent,
  type WebhookEvent,
  WebhookId,
  webhookOf,
  webhookStream
} from "../../../src/domain/webhooks/Events.ts"

const key = webhookStream(WebhookId.make("0123456789ab"))
const content: WebhookContent = { secret: "whsec_c2VjcmV0", positions: [["notes/@verdant", 7]], stops: [] }
const added: WebhookEvent = { _tag: "WebhookAdded", url: "https://example.org/hook", types: ["verdant.changed"] }
const notes = "notes" as never

const claimed = (owner: string, until: number): WebhookEvent => ({ _tag: "WebhookClaimed", owner, until })
const advanced = (owner: string, version: number): WebhookEvent => ({
  ...{ _tag: "WebhookAdvanced", owner, until: 100 },
  positions: [["notes/@verdant", version]]
})
const stopped = (owner: string): WebhookEvent => ({
  ...{ _tag: "WebhookStopped", owner, until: 100, libraryId: notes, streamId: "@verdant" },
  ...{ version: 9, attempts: 10, problem: "status 500" }
})

const apply = (state: WebhookState, event: WebhookEvent, payload?: WebhookContent): WebhookState => {
  const { event: stored, payload: bytes } = toNewEvent(event, payload && allAtOnce(payloadOf(payload)))
  return evolve(state, place(key, emptyHead, stored, "test", 50), bytes)
}

const given = (...events: ReadonlyArray<WebhookEvent>): WebhookState =>
  events.reduce((state, event) => apply(state, event), apply(initial, added, content))

const isAccepted = (state: WebhookState, event: WebhookEvent, now = 50): boolean =>
  decide(state, event, now)._tag === "Success"

describe("a webhook", () => {
  it("is added once, and takes nothing before and after it is there", () => {
    assert.isTrue(isAccepted(initial, added))
    assert.isFalse(isAccepted(given(), added))
    assert.isFalse(isAccepted(initial, claimed("a", 60)))
    const removed = given({ _tag: "WebhookRemoved" })
    for (const event of [added, claimed("a", 60), { _tag: "WebhookRemoved" } as const]) {
      assert.isFalse(isAccepted(removed, event))
    }
    assert.isUndefined(removed.secret)
  })

  it("is one process's at a time, until its claim has ended", () => {
    const state = given(claimed("a", 60))
    assert.isTrue(isAccepted(state, claimed("a", 90)))
    assert.isFalse(isAccepted(state, claimed("b", 90), 59))
    assert.isTrue(isAccepted(state, claimed("b", 90), 60))
    assert.isTrue(isAccepted(state, advanced("a", 8), 70), "nobody took it over")
    for (const event of [advanced("b", 8), stopped("b")]) assert.isFalse(isAccepted(state, event, 70))
    assert.isFalse(isAccepted(given(), advanced("a", 8)), "without a claim")
    assert.isFalse(isAccepted(given(claimed("a", 60), claimed("b", 90)), advanced("a", 8)))
  })

  it("tells when it last advanced, also after a checkpoint", () => {
    assert.isUndefined(given(claimed("a", 60)).advancedAt)
    const state = given(claimed("a", 60), advanced("a", 8))
    assert.strictEqual(state.advancedAt, 50)
    const kept: WebhookEvent = { _tag: "WebhookKept", owner: "a", until: 100, before: 3 }
    assert.strictEqual(apply(initial, kept, allAtOnce(contentOfState(state))).advancedAt, 50)
    const renewed: WebhookEvent = { _tag: "WebhookAdvanced", owner: "a", until: 100, positions: [] }
    assert.isUndefined(given(claimed("a", 60), renewed).advancedAt)
  })

  it("only goes forward", () => {
    const state = given(claimed("a", 60), advanced("a", 8))
    assert.isFalse(isAccepted(state, advanced("a", 8)))
    assert.isFalse(isAccepted(state, advanced("a", 7)))
    assert.isTrue(isAccepted(state, advanced("a", 9)))
  })

  it("stops a library once, and an operator's replay lets it go on, at the change or after it", () => {
    const state = given(claimed("a", 60), advanced("a", 8), stopped("a"))
    assert.isFalse(isAccepted(state, stopped("a")))
    assert.isFalse(isAccepted(given(), { _tag: "WebhookReplayed" }))
    assert.isFalse(isAccepted(state, { _tag: "WebhookReplayed", libraryId: "other" as never }))
    const version = (after: WebhookState) => Option.getOrThrow(HashMap.get(after.positions, "notes/@verdant"))
    const replayed = apply(state, { _tag: "WebhookReplayed" })
    assert.deepStrictEqual([HashMap.size(replayed.stops), version(replayed)], [0, 8])
    const skipped = apply(state, { _tag: "WebhookReplayed", libraryId: notes, skip: true })
    assert.deepStrictEqual([HashMap.size(skipped.stops), version(skipped)], [0, 9])
  })

  it("is the same after a checkpoint, of which the payloads before are purged", () => {
    const state = given(claimed("a", 60), advanced("a", 8), stopped("a"))
    const kept: WebhookEvent = { _tag: "WebhookKept", owner: "a", until: 100, before: 5 }
    const stored = toNewEvent(kept, allAtOnce(payloadOf(allAtOnce(contentOfState(state)))))
    const event = { ...place(key, emptyHead, stored.event, "test", 50), version: 5 }
    const after = evolve(initial, event, stored.payload)
    assert.deepStrictEqual(allAtOnce(contentOfState(after)), allAtOnce(contentOfState(state)))
    assert.strictEqual(after.settings?.url, "https://example.org/hook")
    assert.strictEqual(purgesBefore(event), 5)
    const removed = place(key, emptyHead, toNewEvent({ _tag: "WebhookRemoved" }).event, "test", 50)
    assert.strictEqual(purgesBefore({ ...removed, version: 6 }), 6)
  })

  it.each([
    "https://user:pw@example.org/",
    "ftp://example.org",
    "example.org",
    "https://example.org/#x",
    "https://a b/"
  ])("is not added with the URL %s", (url) =>
    assert.throws(() => toNewEvent({ ...added, url } as WebhookEvent, allAtOnce(payloadOf(content))))
  )

  it("has a stream that no other stream is taken for", () => {
    assert.strictEqual(webhookOf(key), "0123456789ab")
    for (const streamId of ["@access", "@webhook-", "@webhook-xyz", "@webhook-0123456789abc"]) {
      assert.isUndefined(webhookOf({ ...key, streamId }))
    }
    assert.isUndefined(webhookOf({ ...key, libraryId: notes }))
  })
})

describe("a webhook of a log with many streams", () => {
  it("is read, kept and read again in many steps, with the same state", () => {
    const positions = Array.from({ length: 20_000 }, (_, i) => [`notes/${i}`, i] as const)
    const made = inSteps(payloadOf({ ...content, positions }))
    const { event, payload } = toNewEvent(added, made.value)
    const read = inSteps(evolved(initial, place(key, emptyHead, event, "test", 50), payload))
    const kept = inSteps(contentOfState(read.value))
    for (const { steps } of [made, read, kept]) assert.isAbove(steps, 50)
    assert.deepStrictEqual(new Map(kept.value.positions), new Map(positions))
  })
})

const inSteps = <A>(work: Steps<A>): { readonly value: A; readonly steps: number } => {
  for (let steps = 1; ; steps += 1) {
    const { done, value } = work.next()
    if (done === true) return { value, steps }
  }
}
