import type { StreamKey } from "../../domain/Stream.ts"
import { evolve } from "../../domain/verdant/Evolve.ts"
import { prepare } from "../../domain/verdant/prepare.ts"
import { initial } from "../../domain/verdant/State.ts"
import type { EventLog } from "../../ports/EventLog.ts"
import { foldTail } from "../../rooms/foldTail.ts"

/** A library's state and head, as the log holds them. Dies when an event cannot be applied. */
export const readLibrary = (log: EventLog["Service"], key: StreamKey) =>
  foldTail(
    log,
    key,
    () => initial,
    (state, { event, payload }) => evolve(state, event, payload),
    (state, { event, payload }) => prepare(state, event, payload)
  )
