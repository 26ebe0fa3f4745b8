/**
 * The rules of a Secsync document, a second time: from the text of the wire protocol and over the plain list of all
 * that was accepted, with no state to fold. Slow and obvious, to be compared with the pure core, none of which it uses.
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

/** What is asked for; and once accepted, an entry of the history. */
export type Entry = Snapshot | Update | Eviction
export type History = ReadonlyArray<Entry>

/** What the protocol demands and a request breaks. */
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

/** Accepted when nothing is broken. A repeat of what is stored is neither stored again nor refused. */
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
    // No active snapshot. A client's own first one can always begin the document, anew if need be.
    if (request.parentId === "") {
      if (request.parentProof !== firstProof()) broken.add("invalid proof")
      return broken
    }
    // A server without any history has nothing to hold a parent against.
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

/** The last snapshot, unless it was evicted since. */
export const activeSnapshot = (history: History): Snapshot | undefined => {
  const last = history.findLast((entry) => entry._tag !== "Update")
  return last?._tag === "Snapshot" ? last : undefined
}

export const updatesOfActive = (history: History): ReadonlyArray<Update> =>
  activeSnapshot(history) === undefined ? [] : updatesSince(history, history.findLastIndex(isSnapshot))

/** The updates between the snapshot at `index` and what came after its last one. */
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

/** All three empty: what a first snapshot carries. */
export const firstProof = (): string => proof("", "", "")

/** BLAKE2b-256 of UTF-8 text, in URL-safe base64. */
export const hash = (text: string): string =>
  Buffer.from(sodium.crypto_generichash(32, Buffer.from(text, "utf8"), null)).toString("base64url")

const isSnapshot = (entry: Entry): boolean => entry._tag === "Snapshot"

const same = (a: Entry, b: Entry): boolean => JSON.stringify(a) === JSON.stringify(b)

const sameClocks = (a: Readonly<Record<string, number>>, b: Readonly<Record<string, number>>): boolean =>
  Object.keys({ ...a, ...b }).every((key) => a[key] === b[key])
