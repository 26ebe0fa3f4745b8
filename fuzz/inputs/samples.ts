/** Messages and texts as real clients send them. They are the same in every run, so that a seed repeats its inputs. */
const bytes = (length: number, value: number): string => Buffer.alloc(length, value).toString("base64url")

export const SECRET = "a-secret-that-only-tests-have-0123456789"
export const LIBRARY = "notes"

const [ada, bob] = [bytes(32, 1), bytes(32, 2)]
const sealed = { ciphertext: bytes(64, 3), nonce: bytes(24, 4), signature: bytes(64, 5) }

export const secsyncMessages: ReadonlyArray<object> = [
  {
    ...sealed,
    publicData: {
      docId: "welcome",
      pubKey: ada,
      snapshotId: bytes(24, 6),
      parentSnapshotId: "",
      parentSnapshotProof: bytes(32, 7),
      parentSnapshotUpdateClocks: {}
    }
  },
  {
    ...sealed,
    publicData: {
      docId: "welcome",
      pubKey: bob,
      snapshotId: bytes(24, 8),
      parentSnapshotId: bytes(24, 6),
      parentSnapshotProof: bytes(32, 9),
      parentSnapshotUpdateClocks: { [ada]: 3, [bob]: 0 },
      title: { text: "of the app", number: 1.5, list: [1, null, "\u00e9"] }
    },
    additionalServerData: { reason: "of the app" }
  },
  { ...sealed, publicData: { docId: "welcome", pubKey: ada, refSnapshotId: bytes(24, 6), clock: 0 } },
  {
    ...sealed,
    publicData: { docId: "welcome", pubKey: bob, refSnapshotId: bytes(24, 6), clock: 7, kind: "of the app" }
  },
  { ...sealed, publicData: { docId: "welcome", pubKey: ada } }
]

export const timestamp = (count: number): string =>
  `0001${(1_700_000_000_000).toString(36).padStart(9, "0")}${count.toString(36).padStart(4, "0")}000000a`

const ref = (id: string) => ({ "@@type": "ref", id })
const only = (userId: string) => Buffer.from(`u:${userId}:*`).toString("base64")

let count = 0
const operation = (oid: string, data: object, authz?: string) => ({
  ...{ oid, timestamp: timestamp(count++), data },
  ...(authz === undefined ? {} : { authz })
})

const patches: ReadonlyArray<object> = [
  { op: "list-push", value: "a" },
  { op: "list-push", value: ref("item/1:c1") },
  { op: "list-insert", index: 1, value: "b" },
  { op: "list-insert", index: 0, values: ["x", "y"] },
  { op: "list-set", index: 3, value: "set" },
  { op: "list-delete", index: 1, count: 1 },
  { op: "list-move-by-index", from: 0, to: 2 },
  { op: "list-move-by-ref", value: ref("item/1:c1"), index: 0 },
  { op: "list-remove", value: "b", only: "last" },
  { op: "list-remove", value: "x" },
  { op: "list-add", value: "a" }
]

export const verdantOperations = [
  operation("item/1:tags", { op: "initialize", value: [] }),
  operation("item/1:c1", { op: "initialize", value: { author: "ada", text: "one" } }),
  operation("item/1", {
    op: "initialize",
    value: { id: "1", tags: ref("item/1:tags"), image: { "@@type": "file", id: "f1" } }
  }),
  operation("item/1", { op: "set", name: "content", value: "written" }),
  operation("item/1", { op: "remove", name: "content" }),
  operation("item/1", { op: "touch" }),
  operation("item/2", { op: "initialize", value: { id: "2" } }, only("ada")),
  operation("item/2", { op: "delete" }, only("ada")),
  ...patches.map((patch) => operation("item/1:tags", patch))
]

export const verdantBaselines = [
  { oid: "item/3", timestamp: timestamp(900), snapshot: { id: "3", list: ref("item/3:list") } },
  { oid: "item/3:list", timestamp: timestamp(901), snapshot: [1, 2, ref("item/3:x")] },
  { oid: "item/4", timestamp: timestamp(902), snapshot: null, authz: only("ada") }
]

const from = { replicaId: "cmreplica1", timestamp: timestamp(1000) }

export const verdantMessages: ReadonlyArray<object> = [
  { type: "heartbeat", ...from },
  {
    ...{ type: "sync", ...from, schemaVersion: 1, resyncAll: false, since: null },
    ...{ operations: verdantOperations, baselines: verdantBaselines }
  },
  { type: "sync", ...from, schemaVersion: 1, resyncAll: true, since: timestamp(1), operations: [], baselines: [] },
  { type: "op", ...from, operations: verdantOperations.slice(0, 4) },
  { type: "op", ...from, operations: verdantOperations.slice(8) },
  { type: "ack", ...from, nonce: Buffer.from("0.3").toString("base64url") },
  { type: "sync-ack", ...from, nonce: "x" },
  { type: "presence-update", replicaId: from.replicaId, presence: { emoji: "x" }, internal: { viewId: "v" } },
  { type: "disconnecting", ...from }
]
