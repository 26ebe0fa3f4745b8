/** The slow part of applying an event, in steps that are done ahead of it. */
import type { LongWork } from "../LongWork.ts"
import type { StreamEvent } from "../Stream.ts"
import { endsOpening, openInSteps } from "./Evolve.ts"
import { longMerges } from "./Merging.ts"
import { decodeMerged, prepareItems } from "./model/PayloadCodec.ts"
import type { LibraryState } from "./State.ts"
import { readWhole } from "./WholeLibrary.ts"

/** Bytes of a payload that is read in steps. */
const LONG = 64 * 1024

/** Steps after which `evolve` of the same takes no time; undefined: it takes none anyway. */
export const prepare = (state: LibraryState, event: StreamEvent, payload: Uint8Array | null): LongWork | undefined => {
  if (state.opening !== undefined && endsOpening(state.opening, event)) return opening(state)
  if (payload === null) return undefined
  const { length } = payload
  if (event.type === "Folded") return length > LONG ? { length, steps: () => readWhole(payload) } : undefined
  if (event.type === "OperationsStored")
    return length > LONG ? { length, steps: () => prepareItems(payload) } : undefined
  // An event that comes while a library is opened is applied later, to another state.
  if (event.type !== "OperationsMerged" || state.opening !== undefined) return undefined
  return longMerges(state, decodeMerged(payload))
}

/** The events that came while a checkpoint was written; undefined: there are none. */
const opening = (state: LibraryState): LongWork | undefined => {
  let length = 0
  for (let rest = state.opening?.later; rest !== undefined; rest = rest.older)
    length = Math.max(length, rest.payload?.length ?? 0)
  if (state.opening?.later === undefined) return undefined
  const steps = function* () {
    yield* openInSteps(state, (before, event, payload) => prepare(before, event, payload)?.steps())
  }
  return { length, steps }
}
