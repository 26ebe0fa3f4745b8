/** Signed checkpoints of the whole log: make one, compare the log with the newest one, and prove what one says. */
import { Effect, Schema } from "effect"
import { addCheckpoint, CheckpointsUnusable, readCheckpoints } from "../checkpoints/CheckpointFolder.ts"
import { type Break, compare } from "../checkpoints/Continuity.ts"
import { consistencyProof, inclusionProof } from "../checkpoints/MerkleTree.ts"
import type { Signer, Verifier } from "../checkpoints/SignedNote.ts"
import { canonicalJson } from "../domain/CanonicalJson.ts"
import type { StreamKey } from "../domain/Stream.ts"
import type { Problem } from "./Replay.ts"

/** The log does not continue its newest signed checkpoint. No new one was made. */
export class LogNotContinued extends Schema.TaggedError<LogNotContinued>()("LogNotContinued", {
  /** The number of streams that do not continue. */
  count: Schema.Finite,
  /** The first of them. */
  libraryId: Schema.String,
  streamId: Schema.String,
  version: Schema.Finite,
  detail: Schema.String
}) {
  override get message(): string {
    const more = this.count === 1 ? "" : ` (and ${this.count - 1} more)`
    return `${this.libraryId}/${this.streamId} version ${this.version}: ${this.detail}${more}`
  }
}

export interface SignedCheckpoint {
  /** The signed note, in the format of C2SP tlog-checkpoint. */
  readonly note: string
  /** The entries that it covers. */
  readonly size: number
  /** The streams that were new or had grown. 0: the newest checkpoint still holds, and none was made. */
  readonly added: number
}

/**
 * Compares the log with the folder's newest checkpoint, and adds one that covers the streams that have grown. Servers may keep
 * writing. One process at a time uses a folder.
 */
export const makeCheckpoint = Effect.fn("makeCheckpoint")(function* (directory: string, signer: Signer) {
  const before = yield* readCheckpoints(directory, signer.verifier)
  const { breaks, grown } = yield* compare(before.entries)
  const [first] = breaks
  if (first !== undefined) return yield* new LogNotContinued({ ...first, count: breaks.length })
  const size = before.entries.length + grown.length
  if (size === 0) return yield* new CheckpointsUnusable({ directory, detail: "the log is empty" })
  const note = grown.length === 0 ? (before.note ?? "") : yield* addCheckpoint(directory, before, grown, signer)
  return { note, size, added: grown.length } satisfies SignedCheckpoint
})

/** The streams that do not continue the folder's newest checkpoint, as problems of a replay. Fails if there is no checkpoint. */
export const checkSince = Effect.fn("checkSince")(function* (directory: string, verifier: Verifier) {
  const { entries, note } = yield* readCheckpoints(directory, verifier)
  if (note === undefined) return yield* new CheckpointsUnusable({ directory, detail: "there is no checkpoint" })
  const { breaks } = yield* compare(entries)
  return breaks.map((found: Break): Problem => ({ ...found, problem: "not-continued" }))
})

/** A proof that needs no database: by a checkpoint's note, the hashes of the tree, and the rules of RFC 9162, section 2.1. */
export type CheckpointProof =
  | {
      readonly type: "inclusion"
      readonly checkpoint: string
      /** The canonical JSON of the stream's newest entry, whose bytes are hashed. */
      readonly entry: string
      readonly index: number
      readonly size: number
      /** Hashes in base64, from the leaf upwards. */
      readonly path: ReadonlyArray<string>
    }
  | {
      readonly type: "consistency"
      readonly checkpoint: string
      readonly from: number
      readonly size: number
      readonly path: ReadonlyArray<string>
    }

/** Proves the newest entry of a stream, or that the newest checkpoint continues the one of a smaller size. */
export const proveCheckpoint = Effect.fn("proveCheckpoint")(function* (
  directory: string,
  verifier: Verifier,
  what: StreamKey | { readonly from: number }
) {
  const { entries, leaves, note: checkpoint } = yield* readCheckpoints(directory, verifier)
  const unusable = (detail: string) => new CheckpointsUnusable({ directory, detail })
  if (checkpoint === undefined) return yield* unusable("there is no checkpoint")
  const size = leaves.length
  const text = (path: ReadonlyArray<Buffer>) => path.map((hash) => hash.toString("base64"))
  if ("from" in what) {
    const { from } = what
    if (from < 1 || from > size) return yield* unusable(`there is no checkpoint of ${from} entries`)
    const proof: CheckpointProof = {
      type: "consistency",
      checkpoint,
      from,
      size,
      path: text(consistencyProof(leaves, from))
    }
    return proof
  }
  const { libraryId, streamId } = what
  const index = entries.findLastIndex((entry) => entry.libraryId === libraryId && entry.streamId === streamId)
  if (index === -1) return yield* unusable(`they do not name ${libraryId}/${streamId}`)
  const entry = canonicalJson(entries[index]!)
  const proof: CheckpointProof = {
    type: "inclusion",
    checkpoint,
    entry,
    index,
    size,
    path: text(inclusionProof(leaves, index))
  }
  return proof
})
