/**
 * A model of a Secsync document's rules, written a second time from the text of the wire protocol. It reads the plain list of
 * accepted requests and folds no state. It is slow and obvious, and uses none of the code that it is compared with.
 */
import sodium from "libsodium-wrappers"

await sodium.ready

export interface Snapshot {
  readonly _tag: "Snapshot"
  readonly docId: string
  readonly author: string
  readonly id: string
  readonly parentId: string
  readonly parentProof: string
  readonly parentClocks: Readonly<Record<string, number>>
  readonly ciphertext: string
}

export interface Update {
  readonly _tag: "Update"
  readonly docId: string
  readonly author: string
  readonly snapshotId: string
  readonly clock: number
  readonly ciphertext: string
}

export interface Eviction {
  readonly _tag: "Eviction"
}

/** A request; once accepted, an entry of the history. */
export type Entry = Snapshot | Update | Eviction
export type History = ReadonlyArray<Entry>

/** The rules of the protocol that a request can break. */
export type Broken =
  | "other document"
  | "outdated"
  | "misses updates"
  | "invalid proof"
  | "id was used"
  | "no active snapshot"
  | "snapshot is not active"
  | "clock taken"
  | "clock ahead"
  | "snapshot due"
  | "nothing to evict"

/** The empty set means accepted. A repeat of a stored request is neither stored again nor refused. */
export type Verdict = "repeat" | ReadonlySet<Broken>

export const judge = (history: History, docId: string, request: Entry, maxUpdates: number): Verdict => {
  const broken = new Set<Broken>()
  const active = activeSnapshot(history)
  if (request._tag === "Eviction") {
    if (active === undefined) broken.add("nothing to evict")
    return broken
  }
  if (request.docId !== docId) return broken.add("other document")

  if (request._tag === "Snapshot") {
    if (active !== undefined && same(active, request)) return "repeat"
    if (snapshots(history).some(({ id }) => id === request.id) || request.id === request.parentId) {
      broken.add("id was used")
    }
    if (active !== undefined) {
      if (request.parentId !== active.id) broken.add("outdated")
      if (!sameClocks(request.parentClocks, activeClocks(history))) broken.add("misses updates")
      if (request.parentProof !== proofAfter(active)) broken.add("invalid proof")
      return broken
    }
    // No active snapshot: a client's first snapshot can always start the document, even after an eviction.
    if (request.parentId === "") {
      if (request.parentProof !== firstProof()) broken.add("invalid proof")
      return broken
    }
    // A server without a history cannot check a parent.
    const evicted = snapshots(history).at(-1)
    if (evicted === undefined) return broken
    if (request.parentId !== evicted.id) broken.add("outdated")
    if (request.parentProof !== proofAfter(evicted)) broken.add("invalid proof")
    return broken
  }

  if (active === undefined) return broken.add("no active snapshot")
  if (request.snapshotId !== active.id) return broken.add("snapshot is not active")
  const stored = updatesOfActive(history)
  if (stored.some((update) => same(update, request))) return "repeat"
  const next = stored.filter(({ author }) => author === request.author).length
  if (request.clock < next) broken.add("clock taken")
  if (request.clock > next) broken.add("clock ahead")
  if (stored.length >= maxUpdates) broken.add("snapshot due")
  return broken
}

export const snapshots = (history: History): ReadonlyArray<Snapshot> =>
  history.filter((entry) => entry._tag === "Snapshot")

/** The last snapshot, unless an eviction followed. */
export const activeSnapshot = (history: History): Snapshot | undefined => {
  const last = history.findLast((entry) => entry._tag !== "Update")
  return last?._tag === "Snapshot" ? last : undefined
}

export const updatesOfActive = (history: History): ReadonlyArray<Update> =>
  activeSnapshot(history) === undefined ? [] : updatesSince(history, history.findLastIndex(isSnapshot))

/** The updates that follow the snapshot at `index` directly. */
export const updatesSince = (history: History, index: number): ReadonlyArray<Update> => {
  const updates: Array<Update> = []
  for (const entry of history.slice(index + 1)) {
    if (entry._tag !== "Update") break
    updates.push(entry)
  }
  return updates
}

export const activeClocks = (history: History): Record<string, number> => clocksOf(updatesOfActive(history))

/** Each author's highest clock. */
export const clocksOf = (updates: ReadonlyArray<Update>): Record<string, number> => {
  const clocks: Record<string, number> = {}
  for (const { author, clock } of updates) clocks[author] = Math.max(clock, clocks[author] ?? 0)
  return clocks
}

/** `hash(canonicalJson({grandParentSnapshotProof, parentSnapshotId, parentSnapshotCiphertextHash}))`. */
export const proofAfter = ({ id, ciphertext, parentProof }: Snapshot): string =>
  proof(parentProof, hash(ciphertext), id)

const proof = (grandParentSnapshotProof: string, parentSnapshotCiphertextHash: string, parentSnapshotId: string) =>
  // RFC 8785: keys in this order, no white space.
  hash(JSON.stringify({ grandParentSnapshotProof, parentSnapshotCiphertextHash, parentSnapshotId }))

/** The proof that a first snapshot carries: all three fields are empty. */
export const firstProof = (): string => proof("", "", "")

/** BLAKE2b-256 of UTF-8 text, in URL-safe base64. */
export const hash = (text: string): string =>
  Buffer.from(sodium.crypto_generichash(32, Buffer.from(text, "utf8"), null)).toString("base64url")

const isSnapshot = (entry: Entry): boolean => entry._tag === "Snapshot"

const same = (a: Entry, b: Entry): boolean => JSON.stringify(a) === JSON.stringify(b)

const sameClocks = (a: Readonly<Record<string, number>>, b: Readonly<Record<string, number>>): boolean =>
  Object.keys({ ...a, ...b }).every((key) => a[key] === b[key])
