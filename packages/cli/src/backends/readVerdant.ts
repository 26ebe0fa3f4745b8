/** Verdant data in the form that people read, and the error for a library that cannot be read. */

import { Timestamp } from "@sealog/server/admin"
import type { LibraryId } from "@sealog/server/ports"
import { ReplicaType } from "@sealog/server/ports"
import * as Effect from "effect/Effect"
import { CliFailure } from "../output/CliFailure.ts"
import { errorText } from "../output/errorText.ts"
import { shellWord } from "../output/shellWord.ts"

export const replicaTypeOf = (type: number): string =>
  Object.entries(ReplicaType).find(([, number]) => number === type)?.[0] ?? String(type)

/** The milliseconds since 1970 in a Verdant timestamp, by its author's clock; null if the text is no timestamp. */
export const millisOf = (timestamp: string | null): number | null =>
  Timestamp.isTimestamp(timestamp) ? Timestamp.millisOf(timestamp) : null

/** Reports a defect as a damaged library: reading Verdant data decodes every payload, and a damaged one does not decode. */
export const orLibraryDamaged = <A, E, R>(libraryId: LibraryId, effect: Effect.Effect<A, E, R>) =>
  Effect.catchDefect(effect, (defect) => Effect.fail(libraryDamaged(libraryId, errorText(defect))))

export const libraryDamaged = (libraryId: string, problem: string): CliFailure =>
  new CliFailure({
    code: "LIBRARY_DAMAGED",
    message: `The Verdant data of ${libraryId} is damaged and cannot be read: ${problem}`,
    exitCode: 1,
    tryThis: `sync-admin replay --library ${shellWord(libraryId)}`
  })
