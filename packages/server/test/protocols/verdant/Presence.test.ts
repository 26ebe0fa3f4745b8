/** A library's presence: a listener with a defect, and a user who sends presences faster than they are passed on. */
import { assert, describe, it } from "@effect/vitest"
import { Presence, type PresenceChange } from "../../../src/protocols/verdant/Presence.ts"

it("a listener that throws fails alone, and hears nothing more", () => {
  let time = 0
  const presence = new Presence({ process: "process", now: () => time, later: () => {} })
  const heard: Array<string> = []
  const failures: Array<unknown> = []
  const listen = (name: string, tell: () => void) =>
    presence.listen({ tell, fail: (defect) => void failures.push(`${name}: ${defect}`) })
  listen("first", () => void heard.push("first"))
  listen("faulty", () => {
    throw new Error("made to fail")
  })
  listen("last", () => void heard.push("last"))
  presence.arrive("ada", "connection")
  for (time of [0, 1000]) presence.update({ userId: "ada", replicaId: "r", presence: {}, internal: {} })
  assert.deepStrictEqual(heard, ["first", "last", "first", "last"])
  assert.deepStrictEqual(failures, ["faulty: Error: made to fail"])
})

describe("a user who sends presences without a pause", () => {
  const setup = (listeners: number) => {
    let time = 0
    let due: ReadonlyArray<{ readonly at: number; readonly then: () => void }> = []
    const presence = new Presence({
      process: "process",
      now: () => time,
      later: (millis, then) => {
        due = [...due, { at: time + millis, then }]
      }
    })
    const heard: Array<unknown> = []
    const tell = (change: PresenceChange) => {
      if (change._tag === "Changed") heard.push(change.present.presence)
    }
    presence.listen({ tell, fail: () => assert.fail("no listener throws") })
    for (let i = 1; i < listeners; i++)
      presence.listen({ tell: () => {}, fail: () => assert.fail("no listener throws") })
    presence.arrive("ada", "connection")
    const send = (value: number) => presence.update({ userId: "ada", replicaId: "r", presence: value, internal: {} })
    const wait = (millis: number) => {
      time += millis
      const [now, later] = [due.filter(({ at }) => at <= time), due.filter(({ at }) => at > time)]
      due = later
      for (const { then } of now) then()
    }
    return { presence, heard, send, wait }
  }

  it("is seen with the first at once and then with the newest, 20 times a second", () => {
    const { heard, send, wait } = setup(2)
    for (let i = 0; i < 1000; i++) {
      send(i)
      wait(1)
    }
    wait(50)
    assert.strictEqual(heard[0], 0)
    assert.strictEqual(heard.at(-1), 999)
    assert.isAtMost(heard.length, 21)
    assert.isAtLeast(heard.length, 20)
  })

  it("is seen less often by a thousand clients", () => {
    const { heard, send, wait } = setup(1000)
    for (let i = 0; i < 1000; i++) {
      send(i)
      wait(1)
    }
    wait(500)
    assert.deepStrictEqual(heard, [0, 499, 999])
  })

  it("is not seen any more after the last device has left", () => {
    const { heard, presence, send, wait } = setup(2)
    send(1)
    send(2)
    presence.leave("ada", "connection")
    wait(50)
    assert.deepStrictEqual(heard, [1])
  })
})
