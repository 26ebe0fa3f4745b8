/** A log whose compactions all hold the whole library, as version 0.1.0 wrote them, opens and goes on in slices. */
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { assert, it } from "@effect/vitest"
import { HashMap, Result } from "effect"
import { makeVerdantCheck } from "../../../src/admin/verify/VerdantCheck.ts"
import { noQuota } from "../../../src/domain/Quota.ts"
import { advance, emptyHead, place, readsFrom, type StreamEvent } from "../../../src/domain/Stream.ts"
import { checkpointParts } from "../../../src/domain/verdant/Checkpoint.ts"
import type { LibraryCommand } from "../../../src/domain/verdant/Commands.ts"
import { valueOf } from "../../../src/domain/verdant/Compaction.ts"
import type { KnownReplica } from "../../../src/domain/verdant/Context.ts"
import { decide } from "../../../src/domain/verdant/Decide.ts"
import { ReplicaId } from "../../../src/domain/verdant/Events.ts"
import { evolve, fold } from "../../../src/domain/verdant/Evolve.ts"
import type { LibraryState } from "../../../src/domain/verdant/State.ts"
import type { PlacedEvent } from "../../../src/ports/EventLog.ts"
import { KEY, NOW, stamp, TRUANCY } from "./decisions.ts"

/** The events, without the payloads that a compaction or an eviction purged. */
const stored = (): Array<PlacedEvent> =>
  readFileSync(join(import.meta.dirname, "wholeCompactions.jsonl"), "utf8")
    .trim()
    .split("\n")
    .map((line) => {
      const { payload, ...event } = JSON.parse(line) as StreamEvent & { readonly payload: string | null }
      return { event, payload: payload === null ? null : Buffer.from(payload) }
    })

/** The log from where reading begins. */
const tailOf = (events: ReadonlyArray<PlacedEvent>): ReadonlyArray<PlacedEvent> =>
  events.slice(readsFrom(events.findLast(({ event }) => event.checkpoint)!.event) - 1)

const problemsOf = (events: ReadonlyArray<PlacedEvent>): ReadonlyArray<string> => {
  const problems: Array<string> = []
  const { take } = makeVerdantCheck((version, problem, detail) => problems.push(`${version} ${problem}: ${detail}`))
  for (const { event, payload } of events) assert.isTrue(take(event, payload, true))
  return problems
}

const valuesOf = ({ entities }: LibraryState) =>
  Object.fromEntries(HashMap.toEntries(entities).map(([oid, entity]) => [oid, valueOf(entity)]))

const content = {
  "notes/a": { a: 2, x: 19 },
  "notes/b": { file: { "@@type": "file", id: "f1" }, y: 1 }
}

it("passes verification, and gives what it gave", () => {
  const events = stored()
  assert.deepStrictEqual(
    events.map(({ event }) => event.type),
    [
      ...["OperationsStored", "ReplicaJoined", "FileStored", "OperationsStored", "CursorsAdvanced", "Folded"],
      ...["OperationsStored", "Evicted", "RestoreLeased", "OperationsStored", "ReplicaJoined", "OperationsStored"],
      ...["CursorsAdvanced", "Folded", "OperationsStored", "CursorsAdvanced", "Folded", "OperationsStored"]
    ]
  )
  assert.deepStrictEqual(problemsOf(events), [])
  const state = fold(tailOf(events))
  assert.deepStrictEqual(valuesOf(state), content)
  assert.deepInclude(state, { version: 18, generation: 1, operations: 2, baselines: 2, checkpoint: 17 })
})

it("goes on with slices and a checkpoint in parts", () => {
  const events = stored()
  let state = fold(tailOf(events))
  let head = events.reduce((head, { event }) => advance(head, event), emptyHead)
  const known = (): KnownReplica => ({
    ...{ received: state.version, seen: NOW, promise: stamp(21), offer: undefined, isUnanswered: false },
    asked: undefined
  })
  const submit = (command: LibraryCommand): string => {
    const replicas = new Map(["writer", "replica"].map((id) => [ReplicaId.make(id), known()]))
    const context = { now: NOW, truancy: TRUANCY, quota: noQuota, known: replicas, evictedContent: new Map() }
    const { event, payload } = Result.getOrThrow(decide(state, command, context))
    const placed = place(KEY, head, event, "test", NOW)
    head = advance(head, placed)
    state = evolve(state, placed, payload)
    events.push({ event: placed, payload })
    return event.type
  }
  submit({ _tag: "AdvanceCursors" })
  assert.strictEqual(submit({ _tag: "Merge", oids: ["notes/a"] }), "OperationsMerged")
  submit({ _tag: "BeginCheckpoint" })
  const of = state.version
  const parts = Array.from(checkpointParts(state, 100))
  submit({ _tag: "Merge", oids: ["notes/b"] })
  for (const [part, payload] of parts.entries()) submit({ _tag: "WriteCheckpointPart", of, part, payload })
  assert.strictEqual(submit({ _tag: "EndCheckpoint", of, parts: parts.length }), "CheckpointEnded")
  assert.strictEqual(submit({ _tag: "PurgePayloads" }), "Pruned")
  assert.deepStrictEqual(problemsOf(events), [])
  const opened = fold(tailOf(events))
  assert.strictEqual(tailOf(events)[0]?.event.version, of)
  assert.deepStrictEqual(valuesOf(opened), content)
  assert.strictEqual(opened.operations, 0)
})
