/**
 * Secsync documents for the app that embeds the server, for example for an endpoint that makes documents:
 *
 * ```ts
 * const documents = yield* SecsyncDocuments
 * yield* documents.create(LibraryId.make("notes"), DocumentId.make("welcome"))
 * ```
 */
import { Context, Effect, Layer, Schema } from "effect"
import type { DocumentId, LibraryId } from "../../domain/Ids.ts"
import type { DocumentRefusal } from "../../domain/secsync/Commands.ts"
import { StorageUnavailable } from "../../ports/EventLog.ts"
import type { Outcome } from "../../rooms/RoomProtocol.ts"
import { DocumentRooms } from "./Rooms.ts"

/** The document cannot be made. */
export class DocumentRefused extends Schema.TaggedError<DocumentRefused>()("DocumentRefused", {
  /** "deleted": it was deleted for good. "full": the library has as many documents as its quota allows. */
  reason: Schema.Literals(["deleted", "full"])
}) {
  override get message(): string {
    return this.reason === "deleted"
      ? "The document was deleted for good. `sync-admin delete --allow-again` lets it be made again."
      : "The library has as many documents as its quota allows."
  }
}

export class SecsyncDocuments extends Context.Service<
  SecsyncDocuments,
  {
    /**
     * Makes an empty document, durably when it returns. Returns false if the document exists. A server with
     * `secsync.createDocuments: false` serves no other documents; any other server makes them by a client's first snapshot.
     */
    readonly create: (
      libraryId: LibraryId,
      documentId: DocumentId
    ) => Effect.Effect<boolean, DocumentRefused | StorageUnavailable>
  }
>()("@sealog/server/SecsyncDocuments") {
  /** Every `SyncServer` layer includes it and provides it to the app. */
  static readonly layer = Layer.effect(
    SecsyncDocuments,
    Effect.gen(function* () {
      const rooms = yield* DocumentRooms
      const create = Effect.fn("SecsyncDocuments.create")(function* (libraryId: LibraryId, documentId: DocumentId) {
        const room = yield* rooms.get({ libraryId, streamId: documentId })
        const outcome = yield* Effect.callback<Outcome<DocumentRefusal>>((resume) =>
          room.submit({ _tag: "CreateDocument" }, ORIGIN, (outcome) => resume(Effect.succeed(outcome)))
        )
        switch (outcome._tag) {
          case "Stored":
            return true
          case "Unavailable":
            return yield* new StorageUnavailable({ operation: "make a document", cause: new Error("not available") })
          case "Failed":
            return yield* Effect.die(new Error("The document's room failed; the server log has the cause"))
          case "Refused":
            if (outcome.refusal._tag === "DocumentExists") return false
            return yield* new DocumentRefused({
              reason: outcome.refusal._tag === "DocumentDeleted" ? "deleted" : "full"
            })
        }
      }, Effect.scoped)
      return SecsyncDocuments.of({ create })
    })
  )
}

const ORIGIN = "@documents"
