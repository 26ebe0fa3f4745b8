/** Counts clients that know more of a document than the log, and tells the operator of them. */
import { Effect } from "effect"
import { type StreamKey, streamName } from "../../domain/Stream.ts"
import { TokenBucket } from "../../internal/TokenBucket.ts"
import * as Metrics from "../../metrics/Metrics.ts"
import type { Grant } from "../../ports/Access.ts"
import type { Known } from "./DocumentContent.ts"

/**
 * - asked: the client was asked for a snapshot, which brings back what it has.
 * - waiting: the log does not hold the client's snapshot, and no operator has said that it was restored.
 * - lost: the same, and others have written since the restore, on a line that the client cannot follow.
 */
export type Outcome = "asked" | "waiting" | "lost"

export interface ClientsAhead {
  readonly report: (key: StreamKey, outcome: Outcome, client: Client) => void
}

interface Client {
  readonly grant: Pick<Grant, "userId">
  readonly known: Known
  /** The number of updates that the log lacks. Absent: it lacks the whole snapshot. */
  readonly updates?: number
}

/** Lines in the log; a restore may bring back thousands of clients. All are counted. */
const LINES = { perSecond: 1, burst: 50 }

const TEXTS = {
  asked: "A client knows more than the log, and was asked for what it has.",
  waiting:
    "A client knows a snapshot that the log does not hold, and waits. If the log was restored from a backup, run `sync-admin restored`.",
  lost: "A client knows a snapshot that the log lost, and cannot bring it back: others have written to the document since the log was restored."
} as const

export const makeClientsAhead = (options: {
  readonly now: () => number
  readonly run: (effect: Effect.Effect<void>) => void
}): ClientsAhead => {
  const lines = new TokenBucket(LINES, options.now())
  return {
    report: (key, outcome, { grant, known, updates }) => {
      Metrics.clientsAhead.at({ protocol: "secsync", outcome }).add()
      if (!lines.take(options.now())) return
      const line = outcome === "asked" ? Effect.logInfo(TEXTS.asked) : Effect.logWarning(TEXTS[outcome])
      const lost = updates === undefined ? {} : { updates }
      const which = { stream: streamName(key), user: grant.userId, snapshot: known.snapshotId ?? "", ...lost }
      options.run(Effect.annotateLogs(line, which))
    }
  }
}
