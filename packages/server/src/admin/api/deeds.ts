/** The deeds of operators: each is attributed to the operator who asks, and leaves a line in the server's log. */
import { Effect, Option } from "effect"
import type { Attribution } from "../../domain/Administration.ts"
import type { LibraryId } from "../../domain/Ids.ts"
import { BlobStore } from "../../ports/BlobStore.ts"
import type { StorageUnavailable } from "../../ports/EventLog.ts"
import { CurrentOperator } from "./AdminApi.ts"
import { knownLibrary, orUnavailable } from "./failures.ts"

/** Changes a library. Unless a new one may be meant, the log has to have it: an unknown name is a typo. */
export const changeLibrary = Effect.fnUntraced(function* <R>(
  done: string,
  libraryId: LibraryId,
  why: { readonly reason?: string; readonly newLibrary?: boolean },
  change: (libraryId: LibraryId, by: Attribution) => Effect.Effect<boolean, StorageUnavailable, R>
) {
  if (why.newLibrary !== true) yield* knownLibrary(libraryId)
  const changed = yield* orUnavailable(change(libraryId, yield* attributionOf(why)))
  if (changed) yield* noteDone(done, { libraryId })
  return { changed }
})

export const attributionOf = ({
  reason
}: {
  readonly reason?: string
}): Effect.Effect<Attribution, never, CurrentOperator> =>
  Effect.map(CurrentOperator, (operator) => ({ operator, ...(reason !== undefined && { reason }) }))

/** A line for each deed of an operator, since an eviction and a disconnection leave no event that names the operator. */
export const noteDone = Effect.fnUntraced(function* (done: string, fields: Readonly<Record<string, unknown>>) {
  const operator = yield* CurrentOperator
  const known = Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined))
  yield* Effect.annotateLogs(Effect.logInfo(`operator: ${done}`), { operator, ...known })
})

/** True if the process has a store of files: the deeds that delete files delete their bytes in it. */
export const hasFiles = Effect.map(Effect.serviceOption(BlobStore), Option.isSome)
