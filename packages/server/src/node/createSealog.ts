/** Sealog inside an app that does not use Effect: the only place in the server that runs Effects for a caller. */
import { Cause, Deferred, Duration, Effect, Exit, Layer, ManagedRuntime, Scope, Stream } from "effect"
import { allowAgain, deleteForGood } from "../admin/Deletion.ts"
import { evict as evictStreams } from "../admin/Eviction.ts"
import { type Revocation, resume, revoke, suspend } from "../admin/Revocation.ts"
import type { LibraryId } from "../domain/Ids.ts"
import { NodeHandlers } from "../edge/NodeHandlers.ts"
import { Transports } from "../edge/Transports.ts"
import { Access } from "../ports/Access.ts"
import { Profiles } from "../ports/Profiles.ts"
import { Signals } from "../ports/Signals.ts"
import { SecsyncDocuments } from "../protocols/secsync/SecsyncDocuments.ts"
import type { SecsyncOptions } from "../protocols/secsync/Sessions.ts"
import { FileLinks } from "../protocols/verdant/files/FileLinks.ts"
import type { FileOptions } from "../protocols/verdant/files/FileOptions.ts"
import { VerdantLibraries } from "../protocols/verdant/VerdantLibraries.ts"
import { layerAccess, secretsOf } from "./access.ts"
import { documentIdOf, fileIdOf, libraryIdOf, publicKeyOf, replicaIdOf, roleOf } from "./ids.ts"
import { layerLog } from "./logging.ts"
import { OwnWrites } from "./ownWrites.ts"
import type { AccessChanged, Bytes, ChangesOptions, DeletionTarget, MintRequest, Revoked, Sealog } from "./Sealog.ts"
import type { SealogFiles, SealogOptions, SealogSecsync } from "./SealogOptions.ts"

/** The app called a method after `close`. */
export class SealogClosed extends Error {
  override readonly name = "SealogClosed"
  constructor() {
    super("This Sealog was closed")
  }
}

/**
 * Opens the storage, and returns the server's handlers and its methods.
 *
 * ```ts
 * const sealog = await createSealog({
 *   storage: sqliteStorage({ filename: "sealog.db" }),
 *   access: { secret: process.env.TOKEN_SECRET }
 * })
 * const server = createServer(nodeServerOptions, (request, response) =>
 *   sealog.handlers.request(request, response, () => app(request, response))
 * )
 * server.on("upgrade", sealog.handlers.upgrade).listen(4000)
 * ```
 *
 * Rejects with `StorageUnavailable`, with `SecretTooShort` or `TokenKeysError` for keys that cannot be used, and with
 * `InvalidOrigin`, `InvalidTrustedProxy` or `InvalidMountPath`.
 */
export const createSealog = async (options: SealogOptions): Promise<Sealog> => {
  const runtime = ManagedRuntime.make(layerOf(options))
  const services = await runtime.context().catch(async (error) => {
    await runtime.dispose()
    throw error
  })
  const closing = Deferred.makeUnsafe<void>()
  let isClosed = false
  let closed: Promise<void> | undefined

  const run = async <A, E>(effect: Effect.Effect<A, E, Services>): Promise<A> => {
    if (isClosed) throw new SealogClosed()
    const exit = await runtime.runPromiseExit(effect)
    if (Exit.isSuccess(exit)) return exit.value
    throw isClosed && Cause.hasInterruptsOnly(exit.cause) ? new SealogClosed() : Cause.squash(exit.cause)
  }
  const iterate = <A>(changes: Stream.Stream<A, never, Services>, signal: AbortSignal | undefined) => {
    const ends =
      signal === undefined ? Deferred.await(closing) : Effect.raceFirst(Deferred.await(closing), aborted(signal))
    return Stream.toAsyncIterableWith(Stream.interruptWhen(changes, ends), services)
  }
  const administer = <A, E>(effect: Effect.Effect<A, E, Services>) =>
    run(OwnWrites.use((signals) => Effect.provideService(effect, Signals, signals)))
  const libraries = <A, E>(use: (service: VerdantLibraries["Service"]) => Effect.Effect<A, E, Services>) =>
    run(VerdantLibraries.use(use))

  const { health, request, upgrade } = await run(NodeHandlers.use(Effect.succeed))

  return {
    handlers: { request, upgrade },
    health: () => run(health),

    mint: async (request) => run(Access.use(({ mint }) => mint(tokenRequestOf(request)))),
    verify: (token) => run(Access.use(({ verify }) => verify(token))),
    accessChanged: async (change) => run(Access.changed(accessChangeOf(change))),
    revoke: async (revoked) => administer(revoke(revocationOf(revoked))),
    suspend: async (libraryId) => administer(suspend(libraryIdOf(libraryId))),
    resume: async (libraryId) => administer(resume(libraryIdOf(libraryId))),

    evict: async (libraryId) => administer(evict(libraryIdOf(libraryId))),
    createDocument: async (libraryId, documentId) =>
      run(SecsyncDocuments.use(({ create }) => create(libraryIdOf(libraryId), documentIdOf(documentId)))),
    delete: async (target) =>
      administer(Effect.map(deleteForGood(deletionTargetOf(target)), (deleted) => deleted.length > 0)),
    allowAgain: async (target) => administer(Effect.map(allowAgain(deletionTargetOf(target)), (count) => count > 0)),
    info: async (libraryId) => libraries(({ info }) => info(libraryIdOf(libraryId))),
    forceTruant: async (libraryId, replicaId) =>
      libraries(({ forceTruant }) => forceTruant(libraryIdOf(libraryId), replicaIdOf(replicaId))),
    documentSnapshot: async (libraryId, collection, documentId) =>
      libraries(({ documentSnapshot }) => documentSnapshot(libraryIdOf(libraryId), collection, documentId)),
    update: async (libraryId, collection, documentId, change) =>
      libraries(({ update }) => update(libraryIdOf(libraryId), collection, documentId, change)),
    changes: (libraryId, { after, signal }: ChangesOptions<number> = {}) => {
      const id = libraryIdOf(libraryId)
      return iterate(Stream.unwrap(VerdantLibraries.use(({ changes }) => Effect.succeed(changes(id, after)))), signal)
    },
    allChanges: ({ after, signal }: ChangesOptions<ReadonlyMap<string, number>> = {}) => {
      const versions = after && new Map(Array.from(after, ([id, version]) => [libraryIdOf(id), version] as const))
      return iterate(
        Stream.unwrap(VerdantLibraries.use(({ allChanges }) => Effect.succeed(allChanges(versions)))),
        signal
      )
    },

    fileInfo: async (libraryId, fileId) =>
      libraries(({ fileInfo }) => fileInfo(libraryIdOf(libraryId), fileIdOf(fileId))),
    uploadFile: async (libraryId, file, bytes) =>
      libraries(({ uploadFile }) =>
        uploadFile(libraryIdOf(libraryId), { ...file, id: fileIdOf(file.id) }, streamOf(bytes))
      ),

    connect: async ({ headers = {}, url }, transport) => {
      const scope = Scope.makeUnsafe()
      const opening = Transports.use(({ connect }) => connect({ headers, url }, transport))
      const receive = await run(
        Effect.onError(Scope.provide(opening, scope), (cause) => Scope.close(scope, Exit.failCause(cause)))
      )
      return { receive: (text) => run(receive(text)), close: () => Effect.runPromise(Scope.close(scope, Exit.void)) }
    },
    answer: async ({ headers = {}, url }, messages) => {
      const answers = await run(Transports.use(({ answer }) => answer({ headers, url }, messages)))
      return answers.map((text) => JSON.parse(text))
    },

    close: () => {
      isClosed = true
      Deferred.doneUnsafe(closing, Effect.void)
      closed ??= runtime.dispose()
      return closed
    }
  }
}

// --------------------------------------------------------------------------------------------------------- services

type Services = Layer.Success<ReturnType<typeof layerOf>>

const layerOf = ({
  access,
  accessOptions,
  allows,
  files,
  log,
  profiles,
  secsync,
  storage,
  ...options
}: SealogOptions) => {
  const mount = {
    ...options,
    ...(secsync === undefined ? {} : { secsync: secsyncOptionsOf(secsync) }),
    // A browser sends the cookies of a session with the WebSockets of every page, also of another site.
    ...(typeof access === "function" && options.origins === undefined ? { origins: "same-origin" as const } : {}),
    ...(accessOptions === undefined ? {} : { access: accessOptions }),
    ...(files === undefined ? {} : { files: fileOptionsOf(files) })
  }
  return NodeHandlers.layerWithAccess(mount).pipe(
    Layer.provideMerge([OwnWrites.layer(storage), layerAccess(access, allows), files?.store ?? Layer.empty]),
    Layer.provide([
      layerLinks(typeof access === "function" ? [] : secretsOf(access.secret), files),
      profiles === undefined ? Layer.empty : layerProfiles(profiles)
    ]),
    Layer.provideMerge(log === undefined ? Layer.empty : layerLog(log))
  )
}

const secsyncOptionsOf = ({ afterStored, beforeStored, ...options }: SealogSecsync): SecsyncOptions => ({
  ...options,
  ...(beforeStored === undefined
    ? {}
    : { beforeStored: (message) => Effect.promise(async () => beforeStored(message)) }),
  ...(afterStored === undefined ? {} : { afterStored: (message) => Effect.promise(async () => afterStored(message)) })
})

const fileOptionsOf = ({ getUrl, linkSecret: _, store: __, ...options }: SealogFiles): Partial<FileOptions> => ({
  ...options,
  ...(getUrl === undefined ? {} : { getUrl: (file) => Effect.promise(async () => getUrl(file)) })
})

const layerLinks = (tokenSecrets: ReturnType<typeof secretsOf>, files: SealogFiles | undefined) => {
  if (files === undefined) return Layer.empty
  const secrets = files.linkSecret === undefined ? tokenSecrets : secretsOf(files.linkSecret)
  return secrets.length === 0 ? Layer.empty : FileLinks.layerTokens(secrets)
}

const layerProfiles = ({ get }: NonNullable<SealogOptions["profiles"]>) =>
  Layer.succeed(Profiles, { get: (userId) => Effect.promise(async () => get(userId)) })

// ---------------------------------------------------------------------------------------------------------- methods

/** Through the open room, so that its clients are told at once; then what has no room, and what could not be read. */
const evict = Effect.fnUntraced(function* (libraryId: LibraryId) {
  const { evict } = yield* VerdantLibraries
  const isEvicted = yield* Effect.catchDefect(evict(libraryId), () => Effect.succeed(false))
  const documents = yield* evictStreams({ libraryId })
  return isEvicted || documents.length > 0
})

const tokenRequestOf = ({ documents, expiresIn, libraryId, signingKeys, ...request }: MintRequest) => ({
  ...request,
  ...(request.role === undefined ? {} : { role: roleOf(request.role) }),
  libraryId: libraryIdOf(libraryId),
  ...(documents === undefined ? {} : { documents: documents.map(documentIdOf) }),
  ...(signingKeys === undefined ? {} : { signingKeys: signingKeys.map(publicKeyOf) }),
  ...(expiresIn === undefined ? {} : { expiresIn: Duration.fromInputUnsafe(expiresIn) })
})

const deletionTargetOf = ({ documentId, libraryId }: DeletionTarget) => ({
  libraryId: libraryIdOf(libraryId),
  ...(documentId === undefined ? {} : { documentId: documentIdOf(documentId) })
})

const accessChangeOf = ({ documentId, libraryId, ...change }: AccessChanged) => ({
  ...change,
  ...(libraryId === undefined ? {} : { libraryId: libraryIdOf(libraryId) }),
  ...(documentId === undefined ? {} : { documentId: documentIdOf(documentId) })
})

const revocationOf = ({ libraryId, ...revoked }: Revoked): Revocation =>
  ({ ...revoked, ...(libraryId === undefined ? {} : { libraryId: libraryIdOf(libraryId) }) }) as Revocation

const streamOf = (bytes: Bytes): Stream.Stream<Uint8Array, unknown> => {
  if (bytes instanceof Uint8Array) return Stream.succeed(bytes)
  const chunks = bytes instanceof Blob ? bytes.stream() : bytes
  return Stream.fromAsyncIterable(chunks as AsyncIterable<Uint8Array>, (error) => error)
}

const aborted = (signal: AbortSignal): Effect.Effect<void> =>
  Effect.callback((resume) => {
    const onAbort = () => resume(Effect.void)
    if (signal.aborted) return onAbort()
    signal.addEventListener("abort", onAbort, { once: true })
    return Effect.sync(() => signal.removeEventListener("abort", onAbort))
  })
