/** Administration of a library, over separate connections to the server's database. */
import * as Eviction from "@sealog/server/admin/Eviction"
import * as VerdantLibrary from "@sealog/server/admin/InspectVerdant"
import * as Revocation from "@sealog/server/admin/Revocation"
import { ReplicaId, VERDANT } from "@sealog/server/domain/verdant/Events"
import { fold } from "@sealog/server/domain/verdant/Evolve"
import { collectionOf, documentIdOf, type Oid } from "@sealog/server/domain/verdant/model/Oid"
import { documentSnapshot as snapshotOf } from "@sealog/server/domain/verdant/views/DocumentSnapshot"
import type { BlobStore } from "@sealog/server/ports/BlobStore"
import { EventLog } from "@sealog/server/ports/EventLog"
import { Effect, HashMap, Layer, Result } from "effect"
import { layerOf } from "../storage/databases.ts"
import type { Library } from "./Library.ts"
import type { Doc } from "./VerdantClient.ts"

/** Evicts a library. `blobs` is the file store, if the evicting process has it. */
export const evict = (database: string, { id }: Library, blobs?: Layer.Layer<BlobStore>) =>
  Eviction.evict({ libraryId: id }).pipe(Effect.provide([layerOf(database), blobs ?? Layer.empty]), Effect.orDie)

/** Closes a library to all clients. */
export const suspend = (database: string, { id }: Library) =>
  Revocation.suspend(id).pipe(Effect.provide(layerOf(database)), Effect.orDie)

/** Opens a suspended library again. */
export const resume = (database: string, { id }: Library) =>
  Revocation.resume(id).pipe(Effect.provide(layerOf(database)), Effect.orDie)

/** Revokes all tokens that a library's users have. */
export const revokeAll = (database: string, { id }: Library) =>
  Revocation.revoke({ libraryId: id }).pipe(Effect.provide(layerOf(database)), Effect.orDie)

/** Marks a replica as truant. */
export const forceTruant = (database: string, { id }: Library, replicaId: string) =>
  VerdantLibrary.forceTruant(id, ReplicaId.make(replicaId)).pipe(Effect.provide(layerOf(database)), Effect.orDie)

/** The state of a library in the log, in numbers. */
export const libraryInfo = (database: string, { id }: Library) =>
  VerdantLibrary.libraryInfo(id).pipe(Effect.provide(layerOf(database)), Effect.orDie)

/** A document in the server's state. */
export const documentSnapshot = (database: string, { id }: Library, collection: string, documentId: string) =>
  Effect.map(
    VerdantLibrary.documentSnapshot(id, collection, documentId).pipe(Effect.provide(layerOf(database)), Effect.orDie),
    (document) => document as Readonly<Record<string, unknown>> | undefined
  )

/** All documents of a collection in the server's state, sorted by id. */
export const documentSnapshots = (database: string, { id }: Library, collection: string) =>
  Effect.gen(function* () {
    const { events } = yield* (yield* EventLog).tail({ libraryId: id, streamId: VERDANT })
    const state = fold(events)
    const ids = new Set<string>()
    for (const oid of HashMap.keys(state.entities)) {
      if (collectionOf(oid as Oid) === collection) ids.add(documentIdOf(oid as Oid))
    }
    return Array.from(ids)
      .toSorted()
      .flatMap((documentId) => (Result.getOrThrow(snapshotOf(state, collection, documentId)) as Doc | undefined) ?? [])
  }).pipe(Effect.provide(layerOf(database)), Effect.orDie)

/**
 * Documents as clients show them, without the null items of lists. A move from a missing index leaves such an item, and
 * clients hide values that their schema does not allow.
 */
export const pruned = <A>(documents: A): A =>
  JSON.parse(JSON.stringify(documents), (_, value) =>
    globalThis.Array.isArray(value) ? value.filter((item) => item !== null) : value
  )
