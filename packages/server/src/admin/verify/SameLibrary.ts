/** Compares a library that was read from a checkpoint in parts with the one that its events give. */
import { HashMap } from "effect"
import { canonicalJson } from "../../domain/CanonicalJson.ts"
import { storedReferences } from "../../domain/verdant/FileReferences.ts"
import { type Entity, entityOf, type LibraryState } from "../../domain/verdant/State.ts"
import { allBatches } from "../../domain/verdant/UnfoldedBatches.ts"

/** The part of a library that differs; undefined: none does. */
export const differenceOf = (a: LibraryState, b: LibraryState): string | undefined => {
  for (const [name, of] of aspects) if (of(a) !== of(b)) return name
  if (HashMap.size(a.entities) !== HashMap.size(b.entities)) return "the number of objects"
  for (const [oid, entity] of a.entities) {
    if (!isSameEntity(entity, entityOf(b, oid))) return oid
  }
  return undefined
}

const aspects: ReadonlyArray<readonly [string, (state: LibraryState) => string]> = [
  ["the replicas", ({ replicas }) => textOf(Array.from(replicas.values(), textOf).sort())],
  ["the former replicas", ({ formerReplicas }) => textOf(Array.from(formerReplicas))],
  ["the former files", ({ formerFiles }) => textOf(Array.from(formerFiles))],
  ["the files", ({ files }) => textOf(Array.from(files.values(), textOf).sort())],
  ["the references to files", ({ fileReferences }) => textOf(storedReferences(fileReferences))],
  ["the watermark", ({ foldedUpTo, newest, watermark }) => textOf([foldedUpTo, newest, watermark])],
  [
    "the order of operations",
    ({ batches }) =>
      textOf(
        Array.from(allBatches(batches), ({ operations, replicaId, version }) => [
          ...[version, replicaId],
          ...operations.map(({ oid, timestamp }) => `${timestamp} ${oid}`)
        ])
      )
  ]
]

const textOf = (value: unknown): string => canonicalJson(value as object)

const isSameEntity = (a: Entity, b: Entity | undefined): boolean =>
  a.baseline?.text === b?.baseline?.text &&
  a.operations.length === b?.operations.length &&
  a.operations.every(({ replicaId, text, version }, i) => {
    const other = b.operations[i]!
    return text === other.text && version === other.version && replicaId === other.replicaId
  })
