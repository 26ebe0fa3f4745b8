/** Exporting a log as JSON lines, and importing it: an import refuses any changed line, and names it. */
import { assert, describe, it } from "@effect/vitest"
import { evict } from "@sealog/server/admin/Eviction"
import { exportLog } from "@sealog/server/admin/Export"
import { importLog, type LineRefused } from "@sealog/server/admin/Import"
import { revoke, suspend } from "@sealog/server/admin/Revocation"
import { libraryAdministration, serverAdministration } from "@sealog/server/domain/Administration"
import { LibraryId } from "@sealog/server/domain/Ids"
import { emptyHead, place, type StreamKey } from "@sealog/server/domain/Stream"
import { EventLog } from "@sealog/server/ports/EventLog"
import type { Signals } from "@sealog/server/ports/Signals"
import { Signatures } from "@sealog/server/signatures/Signatures"
import { makeAuthor } from "@sealog/server/testing"
import { Clock, Context, Effect, Stream } from "effect"
import { append, document, history, holdings, key, memory, snapshot, store, update } from "./support.ts"

type Log = Context.Context<EventLog | Signals>

const other: StreamKey = { libraryId: LibraryId.make("öther"), streamId: "plan" }
const on = <A, E>(log: Log, effect: Effect.Effect<A, E, EventLog | Signals>) => Effect.provideContext(effect, log)

const exported = Effect.fnUntraced(function* (log: Log, libraryId?: LibraryId) {
  let text = ""
  const write = (more: string) =>
    Effect.sync(() => {
      text += more
    })
  const report = yield* on(log, exportLog(write, libraryId === undefined ? {} : { libraryId }))
  return { text, report, lines: text.split("\n").slice(0, -1) }
})

/** Imports a text in pieces of some size, as a pipe may deliver it. Most texts here have documents that break every rule. */
const imported = (
  log: Log,
  text: string,
  size = 1000,
  options: Parameters<typeof importLog>[1] = { verify: false, withAccess: true }
) => {
  const bytes = Buffer.from(text)
  const pieces = Array.from({ length: Math.ceil(bytes.length / size) }, (_, i) =>
    bytes.subarray(i * size, (i + 1) * size)
  )
  return on(log, Effect.provide(importLog(Stream.fromIterable(pieces), options), Signatures.layerInline))
}

const refusal = (log: Log, lines: ReadonlyArray<string>) =>
  Effect.map(Effect.flip(imported(log, `${lines.join("\n")}\n`)), (error): LineRefused => {
    assert.strictEqual(error._tag, "LineRefused")
    return error as LineRefused
  })

/** A log with two libraries, an eviction, a pruning, and events of administration. */
const various = Effect.gen(function* () {
  const log = yield* memory
  yield* on(log, append(key, [...document(5), snapshot("second"), update(0, "second")]))
  yield* on(log, append(key, [{ _tag: "Pruned", before: 7 }]))
  yield* on(log, append({ ...key, streamId: "another" }, document(2)))
  yield* on(log, append(other, document(3)))
  yield* on(log, evict({ libraryId: other.libraryId }))
  yield* on(log, append(other, [snapshot("again")]))
  yield* on(log, suspend(key.libraryId))
  yield* on(log, revoke({ userId: "ada" }))
  return log
})

describe("export and import", () => {
  it.effect("reproduce the log and the text, and write nothing the second time", () =>
    Effect.gen(function* () {
      const [from, to] = [yield* various, yield* memory]
      const { lines, report, text } = yield* exported(from)
      assert.deepStrictEqual(report, {
        ...{ streams: 5, events: 20, payloads: 6, payloadBytes: 58 },
        ...{ problems: [], problemCount: 0 }
      })
      assert.lengthOf(lines, 22)
      assert.deepStrictEqual(JSON.parse(lines[0]!), { format: "sealog", version: 1 })
      for (const size of [1, 7, 1000, 1_000_000]) {
        const again = yield* memory
        assert.deepInclude(yield* imported(again, text, size), { streams: 5, events: 20, written: 20, present: 0 })
        assert.deepStrictEqual(yield* on(again, holdings), yield* on(from, holdings))
      }
      yield* imported(to, text)
      assert.strictEqual((yield* exported(to)).text, text)
      assert.deepStrictEqual(yield* imported(to, text), {
        ...{ streams: 5, events: 20, written: 0, present: 20, leftOut: 0, payloadsMissing: 0 }
      })
      assert.deepStrictEqual(yield* on(to, holdings), yield* on(from, holdings))
    })
  )

  it.effect("add later events and purges, and leave a log alone that is already further", () =>
    Effect.gen(function* () {
      const [from, to] = [yield* various, yield* memory]
      const old = (yield* exported(from)).text
      yield* imported(to, old)
      yield* on(from, append(key, [update(1, "second")]))
      yield* on(from, evict({ libraryId: key.libraryId }))
      const { text } = yield* exported(from)
      assert.deepInclude(yield* imported(to, text), { written: 3, present: 20 })
      assert.deepStrictEqual(yield* on(to, holdings), yield* on(from, holdings))
      assert.deepInclude(yield* imported(to, old), { written: 0, present: 20 })
      assert.deepStrictEqual(yield* on(to, holdings), yield* on(from, holdings))
    })
  )

  it.effect("cover a single library on request", () =>
    Effect.gen(function* () {
      const [from, to] = [yield* various, yield* memory]
      const { text, report } = yield* exported(from, other.libraryId)
      assert.deepInclude(report, { streams: 1, events: 6 })
      yield* imported(to, text)
      assert.deepStrictEqual(
        (yield* on(to, holdings)).map(({ libraryId }) => libraryId),
        [other.libraryId]
      )
      const error = yield* Effect.flip(exported(from, LibraryId.make("nothing")))
      assert.strictEqual(error._tag, "NoSuchStream")
    })
  )

  it.effect("refuse an export that was cut off anywhere", () =>
    Effect.gen(function* () {
      const { lines, text } = yield* exported(yield* various)
      for (let end = 0; end < lines.length; end++) {
        const error = yield* refusal(yield* memory, lines.slice(0, end))
        // An empty export counts as one empty line.
        assert.deepInclude(error, { line: Math.max(1, end + 1) }, String(end))
      }
      for (const bytes of [10, 500, 1000, text.length - 5]) {
        const error = (yield* Effect.flip(imported(yield* memory, text.slice(0, bytes)))) as LineRefused
        assert.strictEqual(error.line, text.slice(0, bytes).split("\n").length)
      }
    })
  )

  it.effect("refuse a line that is missing, doubled or moved", () =>
    Effect.gen(function* () {
      const from = yield* various
      const { lines } = yield* exported(from)
      const last = lines.length - 1
      // A missing stream of one event leaves no gap, so only the last line reveals it.
      for (let i = 1; i < last; i++) {
        const without = yield* refusal(yield* memory, lines.toSpliced(i, 1))
        assert.oneOf(without.line, [i + 1, last], `line ${i + 1} missing`)
        const doubled = yield* refusal(yield* memory, lines.toSpliced(i, 0, lines[i]!))
        assert.strictEqual(doubled.line, i + 2, `line ${i + 1} doubled`)
        if (i + 1 < last) {
          const swapped = yield* refusal(yield* memory, lines.with(i, lines[i + 1]!).with(i + 1, lines[i]!))
          assert.oneOf(swapped.line, [i + 1, i + 2], `lines ${i + 1} and ${i + 2} swapped`)
        }
      }
      const more = yield* refusal(yield* memory, [...lines, lines[1]!])
      assert.strictEqual(more.line, lines.length + 1)
    })
  )

  it.effect("refuse any changed field, and store nothing from there on", () =>
    Effect.gen(function* () {
      const { lines } = yield* exported(yield* various)
      const at = 4
      const fields: Record<string, unknown> = {
        ...{ libraryId: "x", streamId: "zz", version: 9, generation: 1, type: "Other", data: { a: 1 } },
        ...{ payloadHash: "", chain: "a".repeat(43), origin: "x", recordedAt: 5, checkpoint: true, payload: "AAAA" },
        ...{ "payload ": null, "payloadHash ": "b".repeat(43), "data ": [] }
      }
      for (const [field, value] of Object.entries(fields)) {
        const changed = { ...JSON.parse(lines[at]!), [field.trim()]: value }
        const to = yield* memory
        const error = yield* refusal(to, lines.with(at, JSON.stringify(changed)))
        assert.strictEqual(error.line, at + 1, field)
        for (const { streamId, version } of yield* on(to, holdings)) {
          assert.isTrue(streamId < "another" || (streamId === "another" && version < 3), field)
        }
      }
      for (const [i, text] of [
        [0, '{"format":"other","version":1}'],
        [0, lines[1]!],
        [0, "no JSON"],
        [2, "no JSON"],
        [2, ""],
        [2, "null"],
        [2, '{"end":{}}'],
        [lines.length - 1, lines.at(-1)!.replace('"events":20', '"events":19')],
        [lines.length - 1, lines.at(-1)!.replace(/"heads":"./, '"heads":"!')]
      ] as const) {
        const error = yield* refusal(yield* memory, lines.with(i, text))
        assert.strictEqual(error.line, i + 1, text)
      }
      const newer = yield* refusal(yield* memory, lines.with(0, '{"format":"sealog","version":2}'))
      assert.include(newer.message, "version is 2, and 1 is known here")
    })
  )

  it.effect("refuse a log with a different stream, name its first difference, and leave it unchanged", () =>
    Effect.gen(function* () {
      const { text } = yield* exported(yield* various)
      for (const [same, there] of [
        [0, 2],
        [3, 5],
        [3, 20]
      ] as const) {
        const to = yield* memory
        yield* on(to, append(key, document(4).slice(0, same)))
        yield* on(to, append(key, document(there).slice(same), { recordedAt: 9 }))
        const held = yield* on(to, holdings)
        const error = yield* Effect.flip(imported(to, text))
        assert.deepInclude(error, { _tag: "StreamDiverged", ...key, version: same + 1 })
        assert.match(error.message, /in the log than line \d+ has/)
        assert.deepStrictEqual(yield* on(to, holdings), held)
      }
    })
  )

  it.effect("refuse an endless line, and buffer no more of it than the limit", () =>
    Effect.gen(function* () {
      const piece = Buffer.alloc(16 * 1024 * 1024, "x")
      let pieces = 0
      const endless = Stream.forever(
        Stream.sync(() => {
          pieces += 1
          return piece
        })
      )
      const error = yield* Effect.flip(on(yield* memory, Effect.provide(importLog(endless), Signatures.layerInline)))
      assert.deepInclude(error, { _tag: "LineRefused", line: 1 })
      assert.isBelow(pieces, 12)
    })
  )

  it.effect("continue without payloads that are missing, and count them", () =>
    Effect.gen(function* () {
      const from = yield* memory
      yield* on(from, append(key, document(4)))
      const service = Context.get(from, EventLog)
      const lossy = Context.add(from, EventLog, {
        ...service,
        read: (at, options) =>
          Effect.map(service.read(at, options), (page) =>
            page.map((placed) => (placed.event.version === 3 ? { ...placed, payload: null } : placed))
          )
      })
      const { report, text } = yield* exported(lossy)
      assert.deepInclude(report, { events: 5, payloads: 4, problemCount: 1 })
      assert.deepInclude(report.problems[0], { ...key, version: 3, problem: "payload-missing" })
      assert.deepInclude(yield* imported(yield* memory, text), { written: 5, payloadsMissing: 1 })
      const damaged = Context.add(from, EventLog, {
        ...service,
        read: (at, options) =>
          Effect.map(service.read(at, options), (page) => page.filter(({ event }) => event.version !== 3))
      })
      const error = yield* Effect.flip(exported(damaged))
      assert.deepInclude(error, { _tag: "StreamDamaged", version: 3, problem: "missing-event" })
    })
  )

  it.effect("contain one state of a document that is evicted during the export", () =>
    Effect.gen(function* () {
      for (const page of [1, 2, 3, 4]) {
        const [from, to] = [yield* memory, yield* memory]
        yield* on(from, append(key, document(1700)))
        const service = Context.get(from, EventLog)
        let reads = 0
        const watched = Context.add(from, EventLog, {
          ...service,
          read: (at, options) =>
            Effect.suspend(() => {
              reads += 1
              const evicting =
                reads === page ? Effect.orDie(on(from, evict({ libraryId: key.libraryId }))) : Effect.void
              return Effect.andThen(evicting, service.read(at, options))
            })
        })
        const { report, text } = yield* exported(watched)
        assert.strictEqual(report.problemCount, 0)
        assert.deepInclude(yield* imported(to, text), { payloadsMissing: 0 })
        assert.deepStrictEqual(yield* on(to, holdings), yield* on(from, holdings))
      }
    })
  )
})

/** An export of a real document, with a line of any administrative stream before the last line. */
const withDocument = Effect.gen(function* () {
  const log = yield* memory
  yield* on(log, store(emptyHead, history(makeAuthor())))
  return { log, ...(yield* exported(log)) }
})

/** The export of a log with one event in a stream, which nobody decided. */
const exportedEvent = Effect.fnUntraced(function* (at: StreamKey, type: string, data: object) {
  const log = yield* memory
  const event = place(at, emptyHead, { type, data, payloadHash: "", checkpoint: false }, "somebody", 0)
  yield* on(
    log,
    Effect.flatMap(EventLog, (log) => log.append([{ key: at, expectedVersion: 0, events: [{ event, payload: null }] }]))
  )
  return (yield* exported(log)).text
})

describe("an import judges events by the rules", () => {
  it.effect("and takes a log that keeps them", () =>
    Effect.gen(function* () {
      const { log, text } = yield* withDocument
      const to = yield* memory
      assert.deepInclude(yield* imported(to, text, 1000, {}), { events: 6, written: 6, leftOut: 0 })
      assert.deepStrictEqual(yield* on(to, holdings), yield* on(log, holdings))
    })
  )

  it.effect(
    "and stores nothing of a document whose clock breaks them, whose signature is forged, or whose type is unknown",
    () =>
      Effect.gen(function* () {
        const author = makeAuthor()
        const messages = history(author)
        const forged = { ...messages[1], signature: messages[2].signature }
        const cases = [
          [[messages[0], messages[2]], 3, /rule-broken/],
          [[messages[0], forged, messages[2]], 3, /signature-invalid/]
        ] as const
        for (const [sent, line, problem] of cases) {
          const [from, to] = [yield* memory, yield* memory]
          yield* on(from, store(emptyHead, sent))
          const error = (yield* Effect.flip(imported(to, (yield* exported(from)).text, 1000, {}))) as LineRefused
          assert.deepInclude(error, { _tag: "LineRefused", line })
          assert.match(error.detail, problem)
          assert.deepStrictEqual(yield* on(to, holdings), [])
        }
        const error = yield* Effect.flip(imported(yield* memory, yield* exportedEvent(key, "Nonsense", {}), 1000, {}))
        assert.match(String(error), /unreadable-event/)
      })
  )
})

describe("the server's own streams", () => {
  it.effect("are left out of an import, unless it is asked to take them", () =>
    Effect.gen(function* () {
      const { text } = yield* exported(yield* various)
      const [without, all] = [yield* memory, yield* memory]
      assert.deepInclude(yield* imported(without, text, 1000, { verify: false }), { written: 19, leftOut: 1 })
      assert.isFalse((yield* on(without, holdings)).some(({ libraryId }) => libraryId === "@server"))
      assert.deepInclude(yield* imported(all, text), { written: 20, leftOut: 0 })
    })
  )

  it.effect("are refused with an event that no server can read, or that revokes tokens of the future", () =>
    Effect.gen(function* () {
      const now = yield* Clock.currentTimeMillis
      for (const [at, type, data, problem] of [
        [serverAdministration, "LockedForGood", {}, /unreadable-event/],
        [serverAdministration, "TokensRevoked", { before: now + 1e12 }, /in the future/],
        [libraryAdministration(key.libraryId), "UserRevoked", { userId: "ada", before: now + 1e12 }, /in the future/]
      ] as const) {
        const to = yield* memory
        const text = yield* exportedEvent(at, type, data)
        assert.match(String(yield* Effect.flip(imported(to, text, 1000, { withAccess: true }))), problem)
        assert.deepStrictEqual(yield* on(to, holdings), [])
      }
    })
  )
})
