/** Deeds that make documents, and delete payloads. */
import { allowAgain, createDocument, deleteForGood, evict, prune } from "@sealog/server/admin"
import type { EventLog, Signals } from "@sealog/server/ports"
import * as Effect from "effect/Effect"
import type { Administration } from "../Administration.ts"
import type { LogDeeds } from "./LogDeeds.ts"

export const payloads = ({
  onKnown,
  onKnownDocument,
  files
}: LogDeeds): Pick<Administration, "createDocument" | "evict" | "delete" | "allowAgain" | "prune"> => {
  const withFiles = <A, Failure>(
    deed: Effect.Effect<A, Failure, EventLog | Signals>,
    dryRun: boolean
  ): Effect.Effect<A, unknown, EventLog | Signals> =>
    files === undefined || dryRun ? deed : Effect.provide(deed, files)
  const deletionOf = (dryRun: boolean) => ({ filesDeleted: files !== undefined && !dryRun })

  return {
    createDocument: (libraryId, documentId, change) =>
      onKnown(libraryId, createDocument(libraryId, documentId), change),
    evict: (target, { dryRun }) =>
      onKnownDocument(
        target,
        Effect.map(withFiles(evict({ ...target, dryRun }), dryRun), (documents) => ({
          documents,
          ...deletionOf(dryRun)
        }))
      ),
    delete: (target, { by = {}, dryRun, ...mayBeNew }) =>
      onKnownDocument(
        target,
        Effect.map(withFiles(deleteForGood(target, { dryRun, by }), dryRun), (documents) => ({
          documents,
          ...deletionOf(dryRun)
        })),
        mayBeNew
      ),
    allowAgain: (target, { by, ...mayBeNew }) =>
      onKnownDocument(target, Effect.asVoid(allowAgain(target, by)), mayBeNew),
    prune: (options) => onKnownDocument(options, prune(options))
  }
}
