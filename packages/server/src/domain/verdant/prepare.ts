/** The slow part of applying an event, in steps that are done ahead of it. */
import type { Steps } from "../Steps.ts"
import type { StreamEvent } from "../Stream.ts"
import { prepareMerges } from "./Merging.ts"
import { decodeMerged, prepareItems } from "./model/PayloadCodec.ts"
import type { LibraryState } from "./State.ts"
import { readWhole } from "./WholeLibrary.ts"

/** Bytes of a payload that is read in steps. */
const LONG = 64 * 1024

/** Steps after which `evolve` of the same takes no time; undefined: it takes none anyway. */
export const prepare = (
  state: LibraryState,
  event: StreamEvent,
  payload: Uint8Array | null
): Steps<void> | undefined => {
  if (payload === null) return undefined
  if (event.type === "Folded") return payload.length > LONG ? readWhole(payload) : undefined
  if (event.type === "OperationsStored") return payload.length > LONG ? prepareItems(payload) : undefined
  // An event that comes while a library is opened is applied later, to another state.
  if (event.type !== "OperationsMerged" || state.opening !== undefined) return undefined
  return prepareMerges(state, decodeMerged(payload))
}
