/** A user's presence waits for the answer to a sync, and other requests of the user do not wait. */
import { assert, it } from "@effect/vitest"
import type { Client } from "../../../src/protocols/verdant/Client.ts"
import { OwnPresence } from "../../../src/protocols/verdant/OwnPresence.ts"
import { Presence } from "../../../src/protocols/verdant/Presence.ts"

const client: Client = {
  ...{ id: "poll", isRealtime: false, isSentAway: () => false },
  ...{ send: () => {}, sendVolatile: () => {}, hold: () => () => {}, close: () => {} }
}

const setup = () => {
  const presence = new Presence({ process: "process", now: () => 0, later: () => {} })
  /** A poll, which brings a presence. */
  const poll = (mood: string, isSync: boolean) => {
    const own = new OwnPresence(presence, client, "ada")
    own.expect(isSync)
    own.arrive(1000)
    own.update({ replicaId: "r", presence: mood, internal: {} })
    return own
  }
  const seen = () => presence.all().map(({ presence }) => presence)
  return { poll, seen }
}

it("peers see a presence once its sync is answered", () => {
  const { poll, seen } = setup()
  const sync = poll("calm", true)
  assert.deepStrictEqual([seen(), sync.held?.presence], [[], "calm"])
  sync.show(false)
  assert.deepStrictEqual([seen(), sync.held], [["calm"], undefined])
})

it("a presence that waits does not replace a newer one, which came by a request that overtook it", () => {
  const { poll, seen } = setup()
  const sync = poll("calm", true)
  poll("happy", false)
  assert.isUndefined(sync.held)
  sync.show(false)
  assert.deepStrictEqual(seen(), ["happy"])
})

it("the newest of two presences that wait is seen, in whatever order their syncs are answered", () => {
  for (const order of [
    [0, 1],
    [1, 0]
  ]) {
    const { poll, seen } = setup()
    const syncs = [poll("calm", true), poll("happy", true)]
    for (const index of order) syncs[index]!.show(false)
    assert.deepStrictEqual(seen(), ["happy"])
  }
})
