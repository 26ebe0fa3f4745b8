/** A replica without a store: it makes the messages, operations and timestamps of the protocol. */

export interface Patch {
  readonly op: string
  readonly [field: string]: unknown
}

export interface Operation {
  readonly oid: string
  readonly timestamp: string
  readonly data: Patch | unknown
  readonly authz?: unknown
}

export interface Replica {
  readonly id: string
  /** A timestamp later than all earlier ones, shifted by `ahead` milliseconds. */
  readonly now: (ahead?: number, schemaVersion?: number) => string
  /** An operation with the timestamp of this moment. */
  readonly operation: (oid: string, data: Patch, authz?: unknown) => Operation
  /** The first message on a connection, by default that of a new and empty replica. */
  readonly sync: (fields?: object) => object
  readonly op: (...operations: ReadonlyArray<Operation>) => object
  readonly ack: (fields: object) => object
  readonly presence: (presence: object) => object
}

let replicas = 0

export const makeReplica = (id: string = crypto.randomUUID().replaceAll("-", "").slice(0, 25)): Replica => {
  const node = (replicas++).toString(36).padStart(7, "0")
  let count = 0
  const now: Replica["now"] = (ahead = 0, schemaVersion = 1) =>
    schemaVersion.toString(36).padStart(4, "0") +
    (Date.now() + ahead).toString(36).padStart(9, "0") +
    (count++).toString(36).padStart(4, "0") +
    node
  return {
    id,
    now,
    operation: (oid, data, authz) => ({ oid, timestamp: now(), data, ...(authz === undefined ? {} : { authz }) }),
    sync: (fields) => ({
      type: "sync",
      replicaId: id,
      timestamp: now(),
      schemaVersion: 1,
      operations: [],
      baselines: [],
      resyncAll: false,
      since: null,
      ...fields
    }),
    op: (...operations) => ({ type: "op", replicaId: id, timestamp: now(), operations }),
    ack: (fields) => ({ type: "ack", replicaId: id, timestamp: now(), ...fields }),
    presence: (presence) => ({ type: "presence-update", replicaId: id, presence, internal: {} })
  }
}

export const initialize = (value: unknown): Patch => ({ op: "initialize", value })
export const set = (name: string, value: unknown): Patch => ({ op: "set", name, value })
export const ref = (id: string) => ({ "@@type": "ref", id })
export const fileRef = (id: string, fields: object = {}) => ({ "@@type": "file", id, ...fields })
/** The access key of a document that only this user may see. */
export const onlyUser = (userId: string) => btoa(`u:${userId}:*`)
