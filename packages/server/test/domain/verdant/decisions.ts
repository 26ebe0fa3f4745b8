/** Given events, when a command is decided in a context, then an event or a refusal. */
import { Result } from "effect"
import { advance, emptyHead, place, type StreamEvent, type StreamHead } from "../../../src/domain/Stream.ts"
import type { LibraryCommand, Sync } from "../../../src/domain/verdant/Commands.ts"
import { contextOfLogAlone, type DecisionContext } from "../../../src/domain/verdant/Context.ts"
import { decide } from "../../../src/domain/verdant/Decide.ts"
import { fromStreamEvent, type LibraryEvent, ReplicaId } from "../../../src/domain/verdant/Events.ts"
import { evolve } from "../../../src/domain/verdant/Evolve.ts"
import { decodeOperation } from "../../../src/domain/verdant/model/Operation.ts"
import type { OwnedOperation } from "../../../src/domain/verdant/model/StoredItems.ts"
import { initial, type LibraryState, type Replica } from "../../../src/domain/verdant/State.ts"

export const KEY = { libraryId: "library" as never, streamId: "@verdant" }
export const NOW = 1_700_000_000_000
export const TRUANCY = 1000

/** A client's timestamp; a greater number is later. */
export const stamp = (n: number): string =>
  `0001${NOW.toString(36).padStart(9, "0")}${n.toString(36).padStart(4, "0")}0000000`

/** `owner`: the only user who may see it; null: all users. */
export const operation = (
  n: number,
  { oid = "notes/a", owner = null as string | null, data = { op: "set", name: "x", value: n } as object } = {}
): OwnedOperation => {
  const authz = owner === null ? undefined : Buffer.from(`u:${owner}:*`).toString("base64")
  const json = { oid, timestamp: stamp(n), data, authz }
  return { ...Result.getOrThrow(decodeOperation(json)), owner }
}

export const author = (id: string, userId = "user", type = 0) => ({ replicaId: ReplicaId.make(id), userId, type })

type SyncOptions = Partial<Omit<Sync, "_tag" | "replicaId">>

/** The sync of a replica that has everything it ever had in `operations`. */
export const sync = (id: string, n: number, options: SyncOptions = {}): Sync => ({
  ...{ _tag: "Sync", ...author(id), timestamp: stamp(n), since: null, resyncAll: false },
  ...{ isPolling: true, operations: [], baselines: [] },
  ...options
})

export const write = (id: string, ...operations: ReadonlyArray<OwnedOperation>): LibraryCommand => ({
  ...{ _tag: "StoreOperations", ...author(id), operations }
})

/** A library that grows by what is decided. */
export const given = (...commands: ReadonlyArray<LibraryCommand>) => {
  let state: LibraryState = initial
  let head: StreamHead = emptyHead
  const stored: Array<{ readonly event: StreamEvent; readonly payload: Uint8Array | null }> = []
  const contextOf = (change: Partial<DecisionContext>): DecisionContext => ({
    ...contextOfLogAlone({ now: NOW, truancy: TRUANCY }),
    ...change
  })
  const when = (command: LibraryCommand, context: Partial<DecisionContext> = {}): Then => {
    const decision = decide(state, command, contextOf(context))
    if (Result.isFailure(decision)) return { refused: decision.failure._tag }
    const { event, payload } = decision.success
    const placed = place(KEY, head, event, "test", context.now ?? NOW)
    head = advance(head, placed)
    state = evolve(state, placed, payload)
    stored.push({ event: placed, payload })
    return { event: fromStreamEvent(placed) }
  }
  for (const command of commands) when(command)
  return {
    when,
    state: () => state,
    replica: (id: string): Replica => state.replicas.get(ReplicaId.make(id))!,
    stored: () => stored
  }
}

/** The result of a command. */
export type Then = { readonly event: LibraryEvent } | { readonly refused: string }
