/** Deleting superseded sealed bytes: see domain/Pruning.ts for the rule. Every event stays, and so does every proof. */
import { Effect, Result } from "effect"
import type { DocumentId, LibraryId } from "../domain/Ids.ts"
import { EVICTED, type StreamKey } from "../domain/Stream.ts"
import { toNewEvent } from "../domain/secsync/Events.ts"
import { makePruning, type PruningRule } from "../domain/secsync/Retention.ts"
import { EventLog } from "../ports/EventLog.ts"
import { appendDecided } from "./appendDecision.ts"
import { eachStream } from "./Inspect.ts"

const ORIGIN = "sync-admin prune"
/** Events read at a time, without their payloads. */
const PAGE = 1000

export interface PrunedDocument {
  readonly libraryId: LibraryId
  readonly documentId: string
  /** Events with a smaller version hold no payload any more. */
  readonly before: number
  readonly payloads: number
  readonly payloadBytes: number
}

/**
 * Prunes the documents of all libraries or of one, or one document. Servers may go on meanwhile, and what was
 * interrupted goes on where it stopped. With `dryRun` nothing is changed, and the answer says what would be.
 */
export const prune = Effect.fn("prune")(function* (
  options: PruningRule & {
    readonly libraryId?: LibraryId
    readonly documentId?: DocumentId
    readonly dryRun?: boolean
  }
) {
  const { libraryId, documentId, dryRun = false, ...rule } = options
  const pruned: Array<PrunedDocument> = []
  yield* eachStream(
    { ...(libraryId && { libraryId }), ...(documentId && { streamId: documentId }) },
    ({ key, payloads }) =>
      Effect.gen(function* () {
        // Our own streams are not documents.
        if (payloads === 0 || key.streamId.startsWith("@")) return
        const found = yield* pruneStream(key, rule, dryRun)
        if (found !== undefined) pruned.push({ libraryId: key.libraryId, documentId: key.streamId, ...found })
      })
  )
  return pruned
})

/** What goes, and from where on; undefined when there is nothing. */
const pruneStream = Effect.fnUntraced(function* (key: StreamKey, rule: PruningRule, dryRun: boolean) {
  const log = yield* EventLog
  const pruning = makePruning(rule)
  let after = 0
  while (true) {
    const page = yield* log.read(key, { after, limit: PAGE, payloads: false })
    for (const { event } of page) pruning.see(event)
    after = page.at(-1)?.event.version ?? after
    if (page.length < PAGE) break
  }
  const before = pruning.before()
  const held = yield* log.held(key, before)
  if (held.payloads === 0) return undefined
  const decided = yield* appendDecided(key, { origin: ORIGIN, dryRun }, ([checkpoint]) =>
    // Evicted meanwhile: everything is gone already.
    checkpoint === undefined || checkpoint.event.type === EVICTED || checkpoint.event.version < before
      ? Result.fail("superseded" as const)
      : Result.succeed({ event: toNewEvent({ _tag: "Pruned", before }, ""), purgeBefore: before })
  )
  return Result.isSuccess(decided) ? { before, ...held } : undefined
})
