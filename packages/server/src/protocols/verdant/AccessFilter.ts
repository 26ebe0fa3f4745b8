/**
 * The part of a client's message that the app's policy allows. Operations are refused by documents: those of a document that
 * the user may not change count as refused, and the others go on.
 */
import { Effect } from "effect"
import { collectionOf, documentIdOf, type Oid, rootOf } from "../../domain/verdant/model/Oid.ts"
import type { Action, Grant } from "../../ports/Access.ts"
import type { AccessUndecided, Ask } from "../../rooms/AccessControl.ts"
import type { ClientMessage, Decoded } from "./Wire.ts"

/** The user may not read the library at all. */
export const NOT_READABLE = "NotReadable"

/** Documents of one message that the policy is asked for at a time. */
const CONCURRENCY = 16

/**
 * Returns the message without the operations that the policy does not allow; undefined: nothing of it may be handled.
 *
 * @param isReadAsked the policy was asked for `Read` with the request that holds the message
 */
export const allowedPart = (
  ask: Ask,
  grant: Grant,
  message: ClientMessage,
  isReadAsked: boolean
): Effect.Effect<ClientMessage | typeof NOT_READABLE | undefined, AccessUndecided> => {
  switch (message._tag) {
    case "Sync":
      return Effect.gen(function* () {
        const mayRead = isReadAsked || (yield* ask(grant, { _tag: "Read", documentId: undefined }))
        if (!mayRead) return NOT_READABLE
        const { baselines, operations } = message
        const allowed = yield* writable(ask, grant, [...operations.items, ...baselines.items])
        return { ...message, operations: only(operations, allowed), baselines: only(baselines, allowed) }
      })
    case "Operations":
      return Effect.map(writable(ask, grant, message.operations.items), (allowed) => ({
        ...message,
        operations: only(message.operations, allowed)
      }))
    case "Presence":
      return Effect.map(ask(grant, { _tag: "SendPresence" }), (isAllowed) => (isAllowed ? message : undefined))
    // These concern the connection and the client's own progress. The others are not handled.
    case "Ack":
    case "Heartbeat":
    case "Disconnecting":
    case "Unknown":
    case "NotJson":
    case "NoMemory":
    case "Malformed":
      return Effect.succeed(message)
  }
}

/** The roots of the documents that the user may change. A token that allows no writes is refused without the policy. */
const writable = (
  ask: Ask,
  grant: Grant,
  items: ReadonlyArray<{ readonly oid: string }>
): Effect.Effect<ReadonlySet<Oid>, AccessUndecided> => {
  const roots = grant.readOnly ? [] : new Set(items.map(({ oid }) => rootOf(oid as Oid)))
  const allowed = new Set<Oid>()
  const decide = (root: Oid) => {
    const action: Action = { _tag: "WriteOperation", collection: collectionOf(root), documentId: documentIdOf(root) }
    return Effect.map(ask(grant, action), (isAllowed) => void (isAllowed && allowed.add(root)))
  }
  // The first question without an answer ends the others.
  return Effect.as(Effect.forEach(roots, decide, { concurrency: CONCURRENCY, discard: true }), allowed)
}

const only = <A extends { readonly oid: string }>(
  { items, refused }: Decoded<A>,
  allowed: ReadonlySet<Oid>
): Decoded<A> => {
  const kept = items.filter(({ oid }) => allowed.has(rootOf(oid as Oid)))
  return { items: kept, refused: refused + items.length - kept.length }
}
