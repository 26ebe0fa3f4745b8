/**
 * Names of Verdant's replicas and documents given on the command line. They have a file of their own because checking them
 * loads Verdant's rules, which most commands do without.
 */

import { ReplicaId, rootOid } from "@sealog/server/admin"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { nameInvalid } from "./ids.ts"

export const replicaIdOf = (text: string): ReplicaId =>
  Option.getOrThrowWith(Schema.decodeOption(ReplicaId)(text), () =>
    nameInvalid("replica", "1 to 64 letters, digits, _ and -, as `sync-admin replica list` shows it")
  )

export interface VerdantName {
  readonly collection: string
  readonly id: string
}

/** Parses COLLECTION/ID. A text without a slash gives undefined: it can only name a Secsync document. */
export const verdantNameOf = (text: string): VerdantName | undefined => {
  const slash = text.indexOf("/")
  if (slash === -1) return undefined
  const [collection, id] = [text.slice(0, slash), text.slice(slash + 1)]
  if (rootOid(collection, id) !== undefined) return { collection, id }
  throw nameInvalid("Verdant document", "the form COLLECTION/ID, such as item/42")
}
