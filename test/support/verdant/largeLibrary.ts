/** The events of a library with many objects, all of whose operations every replica has, so that they may be compacted. */
import { noQuota } from "@sealog/server/domain/Quota"
import { advance, emptyHead, place, type StreamKey } from "@sealog/server/domain/Stream"
import type { LibraryCommand } from "@sealog/server/domain/verdant/Commands"
import { contextOfLogAlone, type DecisionContext, type KnownReplica } from "@sealog/server/domain/verdant/Context"
import { decide } from "@sealog/server/domain/verdant/Decide"
import { ReplicaId } from "@sealog/server/domain/verdant/Events"
import { evolve } from "@sealog/server/domain/verdant/Evolve"
import { decodeOperation } from "@sealog/server/domain/verdant/model/Operation"
import { initial, type LibraryState } from "@sealog/server/domain/verdant/State"
import type { PlacedEvent } from "@sealog/server/ports/EventLog"
import { Result } from "effect"
import { initialize, type Replica, set } from "./Replica.ts"

export interface LargeLibrary {
  readonly events: ReadonlyArray<PlacedEvent>
  readonly state: LibraryState
}

const TITLE = "A note with a title of some fifty characters, roughly"

/** Two operations on each object, by one replica. `now`: when they are stored, milliseconds since 1970. */
export const makeLargeLibrary = (
  key: StreamKey,
  replica: Replica,
  options: { readonly userId: string; readonly objects: number; readonly perEvent: number; readonly now: number }
): LargeLibrary => {
  const { now, objects, perEvent, userId } = options
  const author = { replicaId: ReplicaId.make(replica.id), userId, type: 0 }
  const context = { ...contextOfLogAlone({ now, truancy: Number.POSITIVE_INFINITY }), quota: noQuota }
  const events: Array<PlacedEvent> = []
  let [head, state] = [emptyHead, initial]
  const submit = (command: LibraryCommand, known: DecisionContext["known"] = new Map()): void => {
    const { event, payload } = Result.getOrThrow(decide(state, command, { ...context, known }))
    const placed = place(key, head, event, "fill", now)
    head = advance(head, placed)
    state = evolve(state, placed, payload)
    events.push({ event: placed, payload })
  }
  submit({
    ...{ _tag: "Sync", ...author, timestamp: replica.now(), since: null, resyncAll: false, isPolling: false },
    ...{ operations: [], baselines: [] }
  })
  const store = (patchOf: (i: number) => ReturnType<typeof set>): void => {
    for (let from = 0; from < objects; from += perEvent) {
      const operations = Array.from({ length: Math.min(perEvent, objects - from) }, (_, i) => ({
        ...Result.getOrThrow(decodeOperation(replica.operation(`notes/n${from + i}`, patchOf(from + i)))),
        owner: null
      }))
      submit({ _tag: "StoreOperations", ...author, operations })
    }
  }
  store((i) => initialize({ id: `n${i}`, title: TITLE, done: false }))
  store(() => set("done", true))
  const { version: received } = state
  const known: KnownReplica = {
    ...{ received, seen: now, promise: replica.now(), offer: undefined, isUnanswered: false, asked: undefined }
  }
  submit({ _tag: "AdvanceCursors" }, new Map([[author.replicaId, known]]))
  return { events, state }
}
