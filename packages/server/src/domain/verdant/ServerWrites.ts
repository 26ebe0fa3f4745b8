/**
 * Writes by the server, for the app: a replica of its own, which is in no library's list of replicas. It decides where all that was written before is known,
 * so it never waits for anything: it holds no watermark back, cannot be truant, and is never reset.
 */
import { Result } from "effect"
import { valueOf } from "./Compaction.ts"
import { type ChangedEntity, changesOf, type DocumentChange } from "./DocumentChange.ts"
import type { ReplicaId } from "./Events.ts"
import { onlyUser } from "./model/Authz.ts"
import type { Oid } from "./model/Oid.ts"
import { decodeOperation } from "./model/Operation.ts"
import { type OwnedOperation, ownerOf } from "./model/StoredItems.ts"
import { clockAfter, type Timestamp } from "./model/Timestamp.ts"
import { documentOwner, entityOf, type LibraryState } from "./State.ts"

/** No client may use its id. */
export const SERVER_REPLICA = "sealog-server" as ReplicaId

/** The author of the server's writes, as an app sees it in changes. */
export const SERVER_USER = "@server"

/** Verdant's number of passive replicas, for which no watermark waits. */
const PASSIVE = 2

export const SERVER = { replicaId: SERVER_REPLICA, userId: SERVER_USER, type: PASSIVE } as const

/** The last part of its timestamps, in place of a client's. Several processes share it: their timestamps rise together. */
const NODE = "0server"

/**
 * The operations of a change, later than everything in the library. "tooLarge": clients and server take no operation of that
 * size. `newest`: the greatest timestamp of the library. `now`: milliseconds since 1970.
 */
export const writtenBy = (
  state: LibraryState,
  root: Oid,
  change: DocumentChange | null,
  { newest, now }: { readonly newest: Timestamp; readonly now: number }
): ReadonlyArray<OwnedOperation> | "tooLarge" => {
  const contents = new Map<Oid, unknown>()
  const contentOf = (oid: Oid): unknown => {
    const entity = entityOf(state, oid)
    if (entity !== undefined && !contents.has(oid)) contents.set(oid, valueOf(entity))
    return contents.get(oid)
  }
  const clock = clockAfter(newest, now, NODE)
  // Timestamps are used once, so the ids of parts that are made of them are as well.
  const parts = clockAfter(newest, now, NODE)
  const newPart = () => `${root}:${parts().slice(4, 17)}` as Oid
  const owner = contentOf(root) === undefined ? change?.onlyUser : (documentOwner(state, root) ?? undefined)
  const authz = owner === undefined ? undefined : onlyUser(owner)
  const operations: Array<OwnedOperation> = []
  for (const { oid, patch } of changesOf({ root, contentOf, newPart }, change)) {
    const decoded = decodeOperation({ oid, timestamp: clock(), authz, data: patch } satisfies Sent)
    if (Result.isFailure(decoded)) return "tooLarge"
    operations.push({ ...decoded.success, owner: ownerOf(authz) })
  }
  return operations
}

interface Sent extends Record<string, unknown> {
  readonly oid: Oid
  readonly timestamp: Timestamp
  readonly data: ChangedEntity["patch"]
}
