/** The deeds of an operator through the HTTP API of a server. Its token names the operator, so `by` carries the reason alone. */
import type { LoggedEvent } from "@sealog/server/admin"
import { LibraryDamaged, NotInLog } from "@sealog/server/admin/api"
import type { DocumentId, LibraryId } from "@sealog/server/ports"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import { type ServerAddress, serverOf } from "../../input/server.ts"
import type { CliFailure } from "../../output/CliFailure.ts"
import { missingLibrary, noSuchDocument, noSuchLibrary, noSuchWebhook } from "../../output/notFound.ts"
import { type ApiError, adminClient, explained, explanationOf } from "../adminApi.ts"
import { libraryDamaged } from "../readVerdant.ts"
import type { Administration, Change, DocumentChange } from "./Administration.ts"

/** The largest page of the API. */
const PAGE = 1000

/** Lets deeds run through the API of a server. */
export const administerServer = async <A, E>(
  server: string,
  use: (administration: Administration) => Effect.Effect<A, E>
) => Effect.flatMap(onServer(await serverOf({ server })), use)

const onServer = (address: ServerAddress): Effect.Effect<Administration> =>
  Effect.map(adminClient(address), ({ documents, libraries, server, webhooks }): Administration => {
    /** Asks about a library. undefined: it has no such document. */
    const find = <A, E extends ApiError>(libraryId: string, call: Effect.Effect<A, E>) =>
      explained(
        Effect.catch(call, (error): Effect.Effect<undefined, E | CliFailure> => {
          if (error instanceof LibraryDamaged) return Effect.fail(libraryDamaged(libraryId, error.message))
          if (!(error instanceof NotInLog)) return Effect.fail(error)
          return error.what === "library" ? Effect.fail(noSuchLibrary(libraryId, "--server")) : Effect.undefined
        }),
        address
      )
    const about = <A, E extends ApiError>(libraryId: string, call: Effect.Effect<A, E>): Effect.Effect<A, CliFailure> =>
      Effect.flatMap(find(libraryId, call), (found) =>
        found === undefined ? Effect.fail(noSuchLibrary(libraryId, "--server")) : Effect.succeed(found)
      )
    /** Asks about a library, or one document of it. */
    const aboutDocument = <A, E extends ApiError>(
      { documentId = "", libraryId = "" }: { readonly libraryId?: string; readonly documentId?: string },
      call: Effect.Effect<A, E>
    ): Effect.Effect<A, CliFailure> =>
      Effect.flatMap(find(libraryId, call), (found) =>
        found === undefined ? Effect.fail(noSuchDocument(libraryId, documentId)) : Effect.succeed(found)
      )
    const changed = <E extends ApiError>(
      libraryId: LibraryId,
      call: Effect.Effect<{ readonly changed: boolean }, E>
    ): Effect.Effect<boolean, CliFailure> => Effect.map(about(libraryId, call), (answer) => answer.changed)

    /** Asks about a webhook, and perhaps about one of the libraries whose changes it gets. */
    const onWebhook = <A, E extends ApiError>(
      id: string,
      call: Effect.Effect<A, E>,
      libraryId = ""
    ): Effect.Effect<A, CliFailure> =>
      Effect.flatMap(find(libraryId, call), (found) =>
        found === undefined ? Effect.fail(noSuchWebhook(id)) : Effect.succeed(found)
      )

    return {
      libraries: explained(
        allPages((last?: { readonly libraryId: LibraryId }) =>
          libraries.list({ query: { limit: PAGE, after: last?.libraryId } })
        ),
        address
      ),
      library: (libraryId) =>
        Effect.map(about(libraryId, libraries.show({ params: { libraryId } })), ({ quota: _, ...details }) => details),
      verdant: (libraryId) =>
        Effect.map(about(libraryId, libraries.verdant({ params: { libraryId } })), (info) => info ?? undefined),
      verdantDocument: (libraryId, collection, id) =>
        Effect.map(
          find(libraryId, libraries.verdantDocument({ params: { libraryId }, query: { collection, id } })),
          (found) => found?.snapshot
        ),
      truant: (libraryId, replicaId) => changed(libraryId, libraries.truant({ params: { libraryId, replicaId } })),
      documents: (libraryId) =>
        about(
          libraryId,
          allPages((last?: { readonly documentId: string }) =>
            documents.list({
              params: { libraryId },
              query: { limit: PAGE, after: last?.documentId as DocumentId | undefined }
            })
          )
        ),
      document: (libraryId, documentId) => find(libraryId, documents.show({ params: { libraryId, documentId } })),
      createDocument: (libraryId, documentId, { newLibrary = false }) =>
        Effect.map(
          about(libraryId, documents.create({ params: { libraryId }, payload: { documentId, newLibrary } })),
          ({ outcome }) => outcome
        ),
      eachEvent: ({ libraryId, streamId }, { follow, from }, visit) =>
        Effect.gen(function* () {
          const query = { libraryId, streamId, ...from, ...(follow && { follow: "true" as const }) }
          const events = yield* find(libraryId, server.events({ query }))
          if (events === undefined) return yield* Effect.fail(noSuchDocument(libraryId, streamId ?? ""))
          const explainedEvents = Stream.mapError(events, (error) => explanationOf(error, address))
          yield* Stream.runForEachArray(explainedEvents, (page) => visit(page as ReadonlyArray<LoggedEvent>))
        }),
      evict: ({ libraryId, ...target }, { dryRun }) =>
        aboutDocument(
          { libraryId, ...target },
          libraries.evict({ params: { libraryId }, payload: { ...target, dryRun } })
        ),
      delete: ({ libraryId, ...target }, { dryRun, ...change }) => {
        const payload = { ...target, dryRun, ...documentPayloadOf(change) }
        return aboutDocument({ libraryId, ...target }, libraries.delete({ params: { libraryId }, payload }))
      },
      allowAgain: ({ libraryId, ...target }, change) => {
        const payload = { ...target, ...documentPayloadOf(change) }
        const allowed = libraries.allowAgain({ params: { libraryId }, payload })
        return Effect.asVoid(aboutDocument({ libraryId, ...target }, allowed))
      },
      prune: (options) => aboutDocument(options, server.prune({ payload: options })),
      suspend: (libraryId, change) =>
        changed(libraryId, libraries.suspend({ params: { libraryId }, payload: payloadOf(change) })),
      resume: (libraryId, change) =>
        changed(libraryId, libraries.resume({ params: { libraryId }, payload: reasonOf(change) })),
      revoke: ({ libraryId, ...named }, change) => {
        if (libraryId !== undefined) {
          const whose = Object.keys(named).length === 0 ? { all: true as const } : named
          return changed(
            libraryId,
            libraries.revoke({ params: { libraryId }, payload: { whose, ...payloadOf(change) } })
          )
        }
        const whose = named as { readonly userId: string } | { readonly tokenId: string }
        const call = server.revoke({ payload: { whose, ...reasonOf(change) } })
        return Effect.map(explained(call, address), (answer) => answer.changed)
      },
      forgetKeys: (libraryId, userId, change) =>
        changed(libraryId, libraries.forgetKeys({ params: { libraryId }, payload: { userId, ...reasonOf(change) } })),
      quota: (libraryId) =>
        Effect.map(about(libraryId, libraries.quota({ params: { libraryId } })), ({ atMost, ...rest }) => ({
          ...rest,
          atMost: atMost ?? {}
        })),
      setQuota: (libraryId, quota, change) =>
        changed(libraryId, libraries.setQuota({ params: { libraryId }, payload: { quota, ...payloadOf(change) } })),
      webhooks: explained(webhooks.list(), address),
      webhook: (id) => onWebhook(id, webhooks.show({ params: { webhookId: id } })),
      addWebhook: (webhook, change) => {
        const added = webhooks.add({ payload: { ...webhook, ...payloadOf(change) } })
        return explained(
          Effect.mapError(added, (error) =>
            error instanceof NotInLog ? missingLibrary(error.message, "--server") : error
          ),
          address
        )
      },
      removeWebhook: (id, change) =>
        Effect.asVoid(onWebhook(id, webhooks.remove({ params: { webhookId: id }, payload: reasonOf(change) }))),
      replayWebhook: (id, replay, change) =>
        Effect.map(
          onWebhook(
            id,
            webhooks.replay({ params: { webhookId: id }, payload: { ...replay, ...reasonOf(change) } }),
            replay.libraryId
          ),
          ({ libraries: waited }) => waited
        ),
      testWebhook: (id) => onWebhook(id, webhooks.test({ params: { webhookId: id } })),
      statistics: (libraryId) => about(libraryId ?? "", server.statistics({ query: { libraryId } }))
    }
  })

const reasonOf = ({ by }: Change): { readonly reason?: string } =>
  by?.reason === undefined ? {} : { reason: by.reason }

const payloadOf = (change: Change) => ({ ...reasonOf(change), newLibrary: change.newLibrary ?? false })

const documentPayloadOf = (change: DocumentChange) => ({
  ...payloadOf(change),
  newDocument: change.newDocument ?? false
})

/** All entries of a list. An older server leaves its own streams out of a page, which is then shorter: an empty one is the end. */
const allPages = Effect.fnUntraced(function* <A, E>(
  pageAfter: (last: A | undefined) => Effect.Effect<ReadonlyArray<A>, E>
) {
  const all: Array<A> = []
  while (true) {
    const page = yield* pageAfter(all.at(-1))
    if (page.length === 0) return all as ReadonlyArray<A>
    all.push(...page)
  }
})

/** Fails with `NO_SUCH_LIBRARY` if the server's log holds nothing of the library. */
export const requireLibraryOn = (address: ServerAddress, libraryId: LibraryId) =>
  Effect.flatMap(onServer(address), ({ library }) => library(libraryId))
