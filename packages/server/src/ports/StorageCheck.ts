/** Looks for damage in the files of a storage, beside what the events themselves tell: its pages, trees and indexes. */
import { Context, Effect } from "effect"
import type { StorageUnavailable } from "./EventLog.ts"

/**
 * Returns a sentence for each problem, without its full stop; none if the files are sound. It must not hold up the process, however
 * large the files are. A storage provides it beside its log. Default: there is nothing to look at.
 */
export const StorageCheck = Context.Reference<Effect.Effect<ReadonlyArray<string>, StorageUnavailable>>(
  "@sealog/server/StorageCheck",
  { defaultValue: () => Effect.succeed([]) }
)
