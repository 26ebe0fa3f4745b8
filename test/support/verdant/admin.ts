/** What an administrator does to a library, with connections of its own to the server's database. */
import * as Eviction from "@sealog/server/admin/Eviction"
import * as VerdantLibrary from "@sealog/server/admin/VerdantLibrary"
import type { BlobStore } from "@sealog/server/BlobStore"
import { ReplicaId } from "@sealog/server/domain/verdant/Events"
import { Effect, Layer } from "effect"
import { layerOf } from "../postgres.ts"
import type { Library } from "./Library.ts"

/** `blobs`: where the library's files are, if whoever evicts it reaches them. */
export const evict = (database: string, { id }: Library, blobs?: Layer.Layer<BlobStore>) =>
  Eviction.evict({ libraryId: id }).pipe(Effect.provide([layerOf(database), blobs ?? Layer.empty]), Effect.orDie)

export const forceTruant = (database: string, { id }: Library, replicaId: string) =>
  VerdantLibrary.forceTruant(id, ReplicaId.make(replicaId)).pipe(Effect.provide(layerOf(database)), Effect.orDie)

/** What the server holds of a library. */
export const libraryInfo = (database: string, { id }: Library) =>
  VerdantLibrary.libraryInfo(id).pipe(Effect.provide(layerOf(database)), Effect.orDie)

/** A document as the server sees it. */
export const documentSnapshot = (database: string, { id }: Library, collection: string, documentId: string) =>
  Effect.map(
    VerdantLibrary.documentSnapshot(id, collection, documentId).pipe(Effect.provide(layerOf(database)), Effect.orDie),
    (document) => document as Readonly<Record<string, unknown>> | undefined
  )
