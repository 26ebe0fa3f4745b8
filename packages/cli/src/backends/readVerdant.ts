/** What Verdant's clients keep, as people know it. */

import { Timestamp } from "@sealog/server/admin"
import type { LibraryId } from "@sealog/server/ports"
import { ReplicaType } from "@sealog/server/ports"
import * as Effect from "effect/Effect"
import { CliFailure } from "../output/CliFailure.ts"

export const replicaTypeOf = (type: number): string =>
  Object.entries(ReplicaType).find(([, number]) => number === type)?.[0] ?? String(type)

/** The milliseconds since 1970 in a timestamp, by its author's clock; null when it is none. */
export const millisOf = (timestamp: string | null): number | null =>
  Timestamp.isTimestamp(timestamp) ? Timestamp.millisOf(timestamp) : null

/** Reads what Verdant's clients keep in a library: unlike the rest, that is folded, and a damaged log does not fold. */
export const reading = <A, E, R>(libraryId: LibraryId, effect: Effect.Effect<A, E, R>) =>
  Effect.catchDefect(effect, (defect) =>
    Effect.fail(
      new CliFailure({
        code: "LIBRARY_DAMAGED",
        message: `What Verdant's clients keep in ${libraryId} cannot be read: ${defect instanceof Error ? defect.message : String(defect)}`,
        exitCode: 1,
        tryThis: `sync-admin replay --library ${libraryId}`
      })
    )
  )
