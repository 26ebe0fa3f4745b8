/**
 * Asks the app's policy, and hears of changes in what it allows. The policy is the app's code: it may be slow, fail or throw.
 * None of that ends more than the client that it was asked for.
 *
 * `Access.changed` is an event in an administrative stream, as a revocation is: a process that missed its signal reads it
 * with the next one.
 */
import { Context, Duration, Effect, Exit, FiberSet, Layer, Schema, type Scope } from "effect"
import { fromStreamEvent, libraryAdministration, serverAdministration, toNewEvent } from "../domain/Administration.ts"
import type { DocumentId } from "../domain/Ids.ts"
import type { StreamEvent } from "../domain/Stream.ts"
import { callApp } from "../internal/callApp.ts"
import { onScopeClose } from "../internal/finalizers.ts"
import { RandomId } from "../internal/randomId.ts"
import {
  Access,
  type AccessChange,
  AccessChanges,
  type AccessOptions,
  type Action,
  type Grant
} from "../ports/Access.ts"
import { EventLog, type StorageUnavailable } from "../ports/EventLog.ts"
import { Signals } from "../ports/Signals.ts"
import { Administrations } from "./Administrations.ts"
import { appendAfter, attemptUntilFirst } from "./optimisticAppend.ts"

/** The policy failed or did not answer in time. The client is refused, and may try again. */
export class AccessUndecided extends Schema.TaggedError<AccessUndecided>()("AccessUndecided", {}) {
  override readonly message = "the access policy gave no answer"
}

/** Returns whether the policy allows an action. */
export type Ask = (grant: Grant, action: Action) => Effect.Effect<boolean, AccessUndecided>

/** A connection or a request whose rights may change while it lasts. */
export interface AccessWatcher {
  readonly grant: Grant
  /** undefined: all of the library. */
  readonly documentId: DocumentId | undefined
  /** Called when the rights have changed. From this call on, nothing is sent until the policy has answered again. */
  readonly askAgain: () => Effect.Effect<void>
}

export class AccessControl extends Context.Service<
  AccessControl,
  {
    /** undefined: the app has no policy, and the token alone decides. */
    readonly ask: Ask | undefined
    /** Whether the policy is asked for `Receive` before each event. */
    readonly asksForEachEvent: boolean
    /** Tells the watcher of changes that concern it, until the scope closes. */
    readonly watch: (watcher: AccessWatcher) => Effect.Effect<void, StorageUnavailable, Scope.Scope>
    /** See `Access.changed`. */
    readonly changed: (change: AccessChange) => Effect.Effect<void, StorageUnavailable>
  }
>()("@sealog/server/AccessControl") {
  static readonly layer = (options: AccessOptions = {}) =>
    Layer.effect(
      AccessControl,
      Effect.gen(function* () {
        const { allows } = yield* Access
        const administrations = yield* Administrations
        const log = yield* EventLog
        const signals = yield* Signals
        const run = yield* FiberSet.makeRuntime<never>()
        const timeout = Duration.fromInputUnsafe(options.policyTimeout ?? "5 seconds")
        // The events of this process, which has acted before it writes them.
        const origin = `access ${(yield* RandomId)()}`
        const watchers = new Set<AccessWatcher>()

        const watch = Effect.fnUntraced(function* (watcher: AccessWatcher) {
          if (allows === undefined) return
          const { libraryId } = watcher.grant
          const all = [
            yield* administrations.get(serverAdministration.libraryId),
            yield* administrations.get(libraryId)
          ]
          const listener = (_: unknown, events: ReadonlyArray<StreamEvent>) => {
            const isConcerned = events.some((event) => event.origin !== origin && concernsEvent(event, watcher))
            if (isConcerned) run(watcher.askAgain())
          }
          yield* onScopeClose(() => {
            watchers.delete(watcher)
            for (const { listeners } of all) listeners.delete(listener)
          })
          watchers.add(watcher)
          for (const { listeners } of all) listeners.add(listener)
        })

        const write = Effect.fnUntraced(function* ({ libraryId, ...change }: AccessChange) {
          const key = libraryId === undefined ? serverAdministration : libraryAdministration(libraryId)
          const event = toNewEvent({ _tag: "AccessChanged", ...change })
          const attempt = Effect.gen(function* () {
            const [head] = yield* log.heads([key])
            return (yield* appendAfter(log, key, head!, { event, origin })) ? "written" : undefined
          })
          yield* attemptUntilFirst(log, key, attempt)
          yield* signals.announce([key])
        })

        const changed = Effect.fn("AccessChanges.changed")(function* (change: AccessChange) {
          const decided = Array.from(watchers)
            .filter((watcher) => concerns(change, watcher))
            .map((watcher) => watcher.askAgain())
          yield* Effect.ensuring(write(change), Effect.all(decided, { concurrency: "unbounded", discard: true }))
        })

        return AccessControl.of({
          ask: allows && makeAsk(allows, timeout),
          asksForEachEvent: options.asksForEachEvent === true,
          watch,
          changed
        })
      })
    ).pipe(Layer.provide(Administrations.layer))

  /** `Access.changed` for the app. */
  static readonly layerChanges = Layer.effect(
    AccessChanges,
    Effect.map(AccessControl, ({ changed }) => AccessChanges.of({ changed }))
  )
}

const concerns = (
  change: { readonly [Field in keyof AccessChange]: string },
  { grant, documentId }: AccessWatcher
): boolean =>
  isSame(change.libraryId, grant.libraryId) &&
  isSame(change.userId, grant.userId) &&
  isSame(change.tokenId, grant.tokenId) &&
  (documentId === undefined || isSame(change.documentId, documentId))

const isSame = (named: string | undefined, actual: string | undefined): boolean =>
  named === undefined || named === actual

/** The stream of the event is the watcher's, so its library matches. */
const concernsEvent = (event: StreamEvent, watcher: AccessWatcher): boolean => {
  if (event.type !== "AccessChanged") return false
  const decoded = fromStreamEvent(event)
  return decoded._tag === "AccessChanged" && concerns(decoded, watcher)
}

const makeAsk =
  (allows: NonNullable<Access["Service"]["allows"]>, timeout: Duration.Duration): Ask =>
  (grant, action) =>
    Effect.suspend(() => {
      // A copy: a new token changes the grant of an open connection.
      const answer = allows({ ...grant }, action)
      return Exit.isExit(answer) ? answer : callApp(timeout, () => answer)
    }).pipe(
      Effect.exit,
      Effect.flatMap((exit) => {
        if (Exit.isSuccess(exit)) return Effect.succeed(exit.value === true)
        const { libraryId, userId } = grant
        return Effect.logError("The access policy failed; the client is refused", exit.cause).pipe(
          Effect.annotateLogs({ libraryId, userId, action: action._tag }),
          Effect.andThen(Effect.fail(new AccessUndecided()))
        )
      })
    )
