/**
 * The app's own code around a stored message: before it may refuse, after it hears. `Access.allows` decides by rights; these hooks are
 * for what secsync-server's `createSnapshot` and `createUpdate` do besides storing.
 */
import { type Cause, Clock, Duration, Effect, Schedule, Schema } from "effect"
import type { DocumentId, LibraryId, PublicKey, SnapshotId } from "../../domain/Ids.ts"
import { callApp } from "../../internal/callApp.ts"
import type { Grant } from "../../ports/Access.ts"
import type { SnapshotMessage, UpdateMessage } from "./Wire.ts"

/** A signed message that the token and the policy allow. The rules of the protocol have not decided it yet. */
export interface IncomingMessage {
  readonly _tag: "Snapshot" | "Update"
  readonly grant: Grant
  readonly documentId: DocumentId
  readonly pubKey: PublicKey
  /** The snapshot's own id, or that of the snapshot that the update continues. */
  readonly snapshotId: SnapshotId
  /** The number of an author's update. */
  readonly clock?: number
  /** A snapshot's `additionalServerData`. It is neither stored nor sent. */
  readonly additionalServerData?: unknown
}

/**
 * The answer to `beforeStored`. "store" goes on to the rules. "refuse" answers `snapshot-save-failed` or `update-save-failed`; the client
 * tries again, and gives up after five refused snapshots in a row. "requireSnapshot" refuses an update with
 * `requiresNewSnapshot: true`, as a `SecsyncNewSnapshotRequiredError` does; a snapshot is refused.
 */
export type BeforeStored = "store" | "refuse" | "requireSnapshot"

/** A message that this process has stored. */
export interface StoredMessage {
  readonly _tag: "Snapshot" | "Update"
  readonly libraryId: LibraryId
  readonly documentId: DocumentId
  /** The version of the event in the document's stream. */
  readonly version: number
  readonly pubKey: PublicKey
  readonly userId: string
  readonly snapshotId: SnapshotId
  readonly clock?: number
  /** Milliseconds since 1970, by this server's clock. */
  readonly recordedAt: number
}

export interface StoredHookOptions {
  /**
   * Called for each snapshot and update, before the rules decide it. A failure, a defect or an answer after `hookTimeout` closes the
   * connection with 1013 and stores nothing; the client tries again. Updates of a connection wait for each other here. Default: none.
   */
  readonly beforeStored?: (message: IncomingMessage) => Effect.Effect<BeforeStored, unknown>
  /**
   * Called for each snapshot and update that this process has stored, document by document in the order of the versions. It
   * delays no client. After a failure, a defect or no end within `hookTimeout` it is called again with the same message, at growing
   * intervals of at most a minute, so it can be called twice for one message. Default: none.
   *
   * A message is lost to it only if the process ends first, or if the storage fails in the middle of its commit. The app finds that out: the versions of a document have a gap, or the log
   * (`EventLog.read`) has more than the app has taken. At a regular end the server waits for 5 seconds and logs what is left. When
   * 10,000 messages wait, the server stores nothing more and closes clients that write with 1013.
   */
  readonly afterStored?: (message: StoredMessage) => Effect.Effect<void, unknown>
  /** Time for one call of a hook. Default: 5 seconds. */
  readonly hookTimeout?: Duration.Input
}

/** `beforeStored` gave no answer, or too much waits for `afterStored`. The client may try again. */
export class HookUndecided extends Schema.TaggedError<HookUndecided>()("HookUndecided", {
  message: Schema.String
}) {}

export interface StoredHooks {
  /** undefined: the app has no such hook. */
  readonly before: ((message: IncomingMessage) => Effect.Effect<BeforeStored, HookUndecided>) | undefined
  /** Takes a message that was stored. Must be called in the order of a document's versions. */
  readonly after: ((message: StoredMessage) => void) | undefined
  readonly isFull: () => boolean
}

const MAX_WAITING = 10_000
/** How long the server waits for `afterStored` when it stops. */
const DRAIN_MILLIS = 5000
const RETRIES = Schedule.min([Schedule.exponential("100 millis"), Schedule.spaced("1 minute")])

/** The hooks of a server, until the scope closes. */
export const makeStoredHooks = Effect.fnUntraced(function* (options: StoredHookOptions) {
  const { afterStored, beforeStored } = options
  const timeout = Duration.fromInputUnsafe(options.hookTimeout ?? "5 seconds")
  const bounded = <A>(call: () => Effect.Effect<A, unknown>): Effect.Effect<A, unknown> => callApp(timeout, call)

  const before = (message: IncomingMessage) =>
    bounded(() => beforeStored?.(message) ?? Effect.succeed("store" as const)).pipe(
      Effect.catchCause((cause) =>
        Effect.andThen(
          logged("beforeStored failed; nothing is stored", message.grant.libraryId, message.documentId, cause),
          Effect.fail(new HookUndecided({ message: "the app's hook gave no answer" }))
        )
      )
    )

  const run = Effect.runForkWith(yield* Effect.context<never>())
  /** By document: the messages that wait, the first of which is being handed over. */
  const queues = new Map<string, Array<StoredMessage>>()
  let waiting = 0
  const handOver = (name: string, queue: Array<StoredMessage>) =>
    Effect.gen(function* () {
      for (let next = queue[0]; next !== undefined; next = queue[0]) {
        const message = next
        yield* bounded(() => afterStored?.(message) ?? Effect.void).pipe(
          Effect.tapCause((cause) =>
            logged(
              `afterStored failed at version ${message.version}; it is called again`,
              message.libraryId,
              name,
              cause
            )
          ),
          Effect.catchCause(() => Effect.fail("again" as const)),
          Effect.retry(RETRIES),
          Effect.orDie
        )
        queue.shift()
        waiting -= 1
      }
      queues.delete(name)
    })
  const after = (message: StoredMessage): void => {
    const name = `${message.libraryId}/${message.documentId}`
    waiting += 1
    const queue = queues.get(name)
    if (queue !== undefined) return void queue.push(message)
    const own = [message]
    queues.set(name, own)
    run(handOver(name, own))
  }

  yield* Effect.addFinalizer(() =>
    Effect.gen(function* () {
      const until = (yield* Clock.currentTimeMillis) + DRAIN_MILLIS
      while (queues.size > 0 && (yield* Clock.currentTimeMillis) < until) yield* Effect.sleep("20 millis")
      for (const [name, queue] of queues) {
        const versions = `${queue[0]?.version} to ${queue.at(-1)?.version}`
        yield* Effect.logWarning(`afterStored has not taken the versions ${versions} of ${JSON.stringify(name)}`)
      }
    })
  )

  return {
    before: beforeStored && before,
    after: afterStored && after,
    isFull: () => waiting >= MAX_WAITING
  } satisfies StoredHooks
})

const logged = (text: string, libraryId: LibraryId, documentId: string, cause: Cause.Cause<unknown>) =>
  Effect.logError(text, cause).pipe(Effect.annotateLogs({ libraryId, documentId }))

export const incomingOf = (
  message: SnapshotMessage | UpdateMessage,
  grant: Grant,
  documentId: DocumentId
): IncomingMessage => {
  const { _tag, pubKey } = message
  const whose = { _tag, grant: { ...grant }, documentId, pubKey }
  return message._tag === "Snapshot"
    ? { ...whose, snapshotId: message.snapshotId, additionalServerData: message.additionalServerData }
    : { ...whose, snapshotId: message.refSnapshotId, clock: message.clock }
}
