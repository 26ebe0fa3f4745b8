/** The problems that a verification reports, and what decides whether a reported problem is one. */
import type { PackedUpdate } from "../../signatures/verifyPacked.ts"
import type { SignedText } from "../../signatures/verifySignature.ts"

export type ProblemKind =
  /** One or more versions are missing. */
  | "missing-event"
  /** An event or its chain value was changed after it was written. */
  | "chain-broken"
  /** An event's generation is not the number of evictions before it. */
  | "wrong-generation"
  /** An event of an unknown type or shape, or one that the storage cannot read. */
  | "unreadable-event"
  /** A payload was changed after it was written. */
  | "payload-changed"
  /** A payload is missing, though no eviction or pruning deleted it. */
  | "payload-missing"
  /** An event says something else than its payload. */
  | "payload-mismatch"
  /** A payload was not signed by the author that it names. */
  | "signature-invalid"
  /** The rules refuse the event: its clock, its parent, its parent proof … */
  | "rule-broken"
  /** The storage names another head than the last event's. */
  | "wrong-head"
  /** An index of the storage (the newest checkpoint, snapshots by id) disagrees with the events. */
  | "wrong-index"
  /** The stream is gone, shorter or another one than a signed checkpoint says. */
  | "not-continued"

/** Reports a problem. With `unless`, it is one only if that is not genuine, which is verified later. */
export type Report = (version: number, problem: ProblemKind, detail: string, unless?: Unless) => void

export const PAYLOAD_CHANGED = "the payload does not have the hash that the event names"

export interface PayloadProblem {
  readonly problem: "payload-changed" | "payload-mismatch" | "signature-invalid"
  readonly detail: string
  /** No problem if this text was signed by its key, which is still to be verified. */
  readonly unless?: SignedText
}

/** A text that is signed by its key, or an update that is right while it is packed. */
export type Unless = SignedText | UnlessPacked

export interface UnlessPacked {
  readonly update: PackedUpdate
  /** The problem, or none, if the update is not right as it is packed: it is unpacked. */
  readonly unpacked: () => PayloadProblem | undefined
}
