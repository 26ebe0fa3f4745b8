/** Deeds that read all of a library's Verdant data. */
import { documentSnapshot, forceTruant, libraryInfo, quotaOf, quotaUse } from "@sealog/server/admin"
import * as Effect from "effect/Effect"
import { orLibraryDamaged } from "../../readVerdant.ts"
import type { Administration } from "../Administration.ts"
import type { LogDeeds } from "./LogDeeds.ts"

export const verdant = ({
  onKnown
}: LogDeeds): Pick<Administration, "verdant" | "verdantDocument" | "truant" | "quota"> => ({
  verdant: (libraryId) => onKnown(libraryId, orLibraryDamaged(libraryId, libraryInfo(libraryId))),
  verdantDocument: (libraryId, collection, id) =>
    onKnown(libraryId, orLibraryDamaged(libraryId, documentSnapshot(libraryId, collection, id))),
  truant: (libraryId, replicaId) => onKnown(libraryId, forceTruant(libraryId, replicaId)),
  quota: (libraryId) =>
    onKnown(
      libraryId,
      Effect.all({
        quota: quotaOf(libraryId),
        atMost: Effect.succeed(null),
        use: orLibraryDamaged(libraryId, quotaUse(libraryId))
      })
    )
})
