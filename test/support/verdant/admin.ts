/** What an administrator does to a library, with connections of its own to the server's database. */
import { forceTruant as forceReplicaTruant } from "@sealog/server/admin/Replicas"
import * as VerdantLibrary from "@sealog/server/admin/VerdantLibrary"
import { Effect } from "effect"
import { layerOf } from "../postgres.ts"
import type { Library } from "./Library.ts"

export { evict } from "../evict.ts"

export const forceTruant = (database: string, library: Library, replicaId: string) =>
  forceReplicaTruant(library.id, replicaId).pipe(Effect.provide(layerOf(database)), Effect.orDie)

/** What the server holds of a library. */
export const libraryInfo = (database: string, library: Library) =>
  VerdantLibrary.libraryInfo(library.id).pipe(Effect.provide(layerOf(database)), Effect.orDie)

export const documentSnapshot = (database: string, library: Library, collection: string, id: string) =>
  VerdantLibrary.documentSnapshot(library.id, collection, id).pipe(Effect.provide(layerOf(database)), Effect.orDie)
