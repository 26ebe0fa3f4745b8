/**
 * Prunes documents: deletes superseded payloads by the rule in `domain/secsync/Retention.ts`. Every event stays, and so does
 * every parent proof.
 */
import { Effect, Result } from "effect"
import type { DocumentId, LibraryId } from "../domain/Ids.ts"
import { endsGeneration, type StreamKey } from "../domain/Stream.ts"
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
  /** Events with a smaller version hold no payload now. */
  readonly before: number
  readonly payloads: number
  readonly payloadBytes: number
}

export interface PruneOptions extends PruningRule {
  readonly libraryId?: LibraryId
  readonly documentId?: DocumentId
  readonly dryRun?: boolean
}

/**
 * Prunes the documents of all libraries, of one library, or one document, and returns the documents that lost payloads.
 * Servers may keep running. An interrupted pruning resumes when it is called again. With `dryRun` it changes nothing, and
 * returns the documents that would lose payloads.
 */
export const prune = Effect.fn("prune")(function* (options: PruneOptions) {
  const { libraryId, documentId, dryRun = false, ...rule } = options
  const pruned: Array<PrunedDocument> = []
  yield* eachStream(
    { ...(libraryId && { libraryId }), ...(documentId && { streamId: documentId }) },
    ({ key, payloads }) =>
      Effect.gen(function* () {
        // The server's own streams are not documents.
        if (payloads === 0 || key.streamId.startsWith("@")) return
        const found = yield* pruneStream(key, rule, dryRun)
        if (found !== undefined) pruned.push({ libraryId: key.libraryId, documentId: key.streamId, ...found })
      })
  )
  return pruned
})

/** Prunes one stream, and returns the payloads that it deleted; undefined when there are none. */
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
    // The document was evicted since it was read: every payload is deleted already.
    checkpoint === undefined || endsGeneration(checkpoint.event.type) || checkpoint.event.version < before
      ? Result.fail("superseded" as const)
      : Result.succeed({ event: toNewEvent({ _tag: "Pruned", before }, ""), purgeBefore: before })
  )
  return Result.isSuccess(decided) ? { before, ...held } : undefined
})
