/** The listeners to a library's presence, of which one has a defect. */
import { assert, it } from "@effect/vitest"
import { Presence } from "../../../src/protocols/verdant/Presence.ts"

it("a listener that throws fails alone, and hears nothing more", () => {
  const presence = new Presence("process", () => 0)
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
  for (let i = 0; i < 2; i++) presence.update({ userId: "ada", replicaId: "r", presence: {}, internal: {} })
  assert.deepStrictEqual(heard, ["first", "last", "first", "last"])
  assert.deepStrictEqual(failures, ["faulty: Error: made to fail"])
})
