/** A real Secsync client: the state machine of the npm package `secsync` with a Yjs document, as an app uses it. */
import { Deferred, Effect, type Scope } from "effect"
import sodium from "libsodium-wrappers"
import {
  createSignatureKeyPair,
  createSyncMachine,
  deserializeUint8ArrayUpdates,
  type LoadDocumentParams,
  serializeUint8ArrayUpdates
} from "secsync"
import { createActor } from "xstate"
import * as Y from "yjs"

await sodium.ready

/** The key with which all clients encrypt. The server never sees it. */
const SNAPSHOT_KEY = sodium.crypto_generichash(32, "the key that all test clients share", null)

export interface SecsyncClientOptions {
  /** The server: ws://HOST:PORT */
  readonly url: string
  readonly documentId: string
  readonly token: string
  /** The updates after which the client sends a snapshot instead. Default: none after the first snapshot. */
  readonly snapshotEvery?: number
  /** Resolves when the client has the key of a snapshot, for apps that fetch it. Default: at once. */
  readonly keyFetched?: () => Promise<unknown>
  /** A document from the device: its content, and the snapshot and clocks that its client knew. */
  readonly from?: { readonly doc: Y.Doc; readonly known: LoadDocumentParams | undefined }
}

export interface SecsyncClient {
  readonly doc: Y.Doc
  /** The author's public key, in URL-safe base64. */
  readonly pubKey: string
  /** Appends to the document's list. */
  readonly write: (...items: ReadonlyArray<string>) => void
  readonly list: () => ReadonlyArray<string>
  /** The client's own list of errors. */
  readonly errors: () => ReadonlyArray<string>
  readonly state: () => "connecting" | "connected" | "disconnected" | "noAccess" | "failed"
  /** True when the document is loaded and everything written is acknowledged. */
  readonly isSettled: () => boolean
  /**
   * The same, without updates to snapshots that are no longer active. A client that sends a snapshot instead of an update
   * keeps the update in flight, although the snapshot contains it.
   */
  readonly isSettledOnActive: () => boolean
  /** The snapshot and clocks that the client would send when it reconnects. */
  readonly known: () => LoadDocumentParams | undefined
  readonly activeSnapshotId: () => string | undefined
  /** The number of connections so far. */
  readonly connections: () => number
  readonly customMessages: ReadonlyArray<unknown>
  /** Everything that the server has not answered yet, for a failure's message. */
  readonly underWay: () => object
  /** Waits until the condition holds. Looks whenever the client's state or document changes. */
  readonly until: (what: string, predicate: () => boolean) => Effect.Effect<void>
  readonly disconnect: () => void
  readonly reconnect: () => void
  readonly onChange: (listener: () => void) => () => void
}

/** Far more than a condition takes to come true on an idle machine. */
const TIMEOUT = "2 minutes"

export const connectClient = (options: SecsyncClientOptions): Effect.Effect<SecsyncClient, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.sync(() => makeClient(options)),
    ({ stop }) => Effect.sync(stop)
  )

/** Waits until the condition holds for all clients at the same time. */
export const untilAll = (
  clients: ReadonlyArray<SecsyncClient>,
  what: string,
  predicate: (client: SecsyncClient) => boolean
): Effect.Effect<void> =>
  Effect.gen(function* () {
    const done = yield* Deferred.make<void>()
    const look = () => {
      if (clients.every(predicate)) Deferred.doneUnsafe(done, Effect.void)
    }
    const undo = clients.map((client) => client.onChange(look))
    look()
    yield* Deferred.await(done).pipe(
      Effect.timeoutOrElse({
        duration: TIMEOUT,
        orElse: () => Effect.die(new Error(`Never came true: ${what}\n${clients.map(describe).join("\n")}`))
      }),
      Effect.ensuring(Effect.sync(() => undo.forEach((off) => void off()))),
      // The condition may come true in the middle of a client's transition, which must end before the client is used.
      Effect.andThen(nextTurn)
    )
  })

/** Waits until the current turn of the event loop has ended. */
export const nextTurn = Effect.promise(() => new Promise<void>((resolve) => setImmediate(resolve)))

const describe = (client: SecsyncClient): string =>
  JSON.stringify({
    state: client.state(),
    settled: client.isSettled(),
    items: client.list().length,
    known: client.known(),
    underWay: client.underWay(),
    errors: client.errors(),
    connections: client.connections()
  })

const makeClient = (options: SecsyncClientOptions): SecsyncClient & { readonly stop: () => void } => {
  const { url, documentId, token, snapshotEvery = Number.POSITIVE_INFINITY, keyFetched, from } = options
  const doc = from?.doc ?? new Y.Doc()
  const list = doc.getArray<string>("list")
  const signatureKeyPair = createSignatureKeyPair(sodium)
  const listeners = new Set<() => void>()
  const customMessages: Array<unknown> = []
  const remote = Symbol("remote")

  const actor = createActor(createSyncMachine(), {
    input: {
      documentId,
      signatureKeyPair,
      websocketEndpoint: url,
      websocketSessionKey: token,
      applySnapshot: (snapshot: Uint8Array) => Y.applyUpdateV2(doc, snapshot, remote),
      applyChanges: (changes: ReadonlyArray<Uint8Array>) =>
        changes.forEach((change) => void Y.applyUpdateV2(doc, change, remote)),
      getSnapshotKey: () => (keyFetched === undefined ? SNAPSHOT_KEY : keyFetched().then(() => SNAPSHOT_KEY)),
      getNewSnapshotData: () => ({ data: Y.encodeStateAsUpdateV2(doc), key: SNAPSHOT_KEY, publicData: {} }),
      applyEphemeralMessage: () => {},
      shouldSendSnapshot: ({ snapshotUpdatesCount }) => snapshotUpdatesCount >= snapshotEvery,
      isValidClient: () => true,
      serializeChanges: (changes) => serializeUint8ArrayUpdates(changes, sodium),
      deserializeChanges: (text) => deserializeUint8ArrayUpdates(text, sodium),
      onCustomMessage: (message) => void customMessages.push(message),
      sodium,
      ...(from?.known === undefined ? {} : { loadDocumentParams: from.known })
    }
  })

  let connections = 0
  let connected = false
  let underWay: ReadonlyArray<unknown> = []
  const notify = () => {
    for (const listener of listeners) listener()
  }
  actor.subscribe((snapshot) => {
    const now = snapshot.matches("connected")
    if (now && !connected) connections += 1
    // When its connection ends, the machine forgets the changes of a snapshot in flight, so they are added again.
    const forgotten = connected && !now ? underWay : []
    connected = now
    underWay = snapshot.context._snapshotInFlight?.changes ?? []
    if (forgotten.length > 0) actor.send({ type: "ADD_CHANGES", data: [...forgotten] })
    notify()
  })
  doc.on("updateV2", (update: Uint8Array, origin: unknown) => {
    if (origin !== remote) actor.send({ type: "ADD_CHANGES", data: [update] })
    notify()
  })
  actor.start()

  const context = () => actor.getSnapshot().context
  const active = () => context()._snapshotInfosWithUpdateClocks.at(-1)
  const isQuiet = (): boolean => {
    const { _documentDecryptionState, _incomingQueue, _pendingChangesQueue, _snapshotInFlight } = context()
    return (
      actor.getSnapshot().matches({ connected: "idle" }) &&
      _documentDecryptionState === "complete" &&
      _snapshotInFlight === null &&
      _incomingQueue.length + _pendingChangesQueue.length === 0
    )
  }
  const client: SecsyncClient = {
    doc,
    pubKey: sodium.to_base64(signatureKeyPair.publicKey),
    write: (...items) => list.push([...items]),
    list: () => list.toArray(),
    errors: () => context()._snapshotAndUpdateErrors.map((error) => error.message),
    state: () => {
      const { value } = actor.getSnapshot()
      return typeof value === "string" ? value : "connecting" in value ? "connecting" : "connected"
    },
    isSettled: () => isQuiet() && context()._updatesInFlight.length === 0,
    isSettledOnActive: () =>
      isQuiet() && context()._updatesInFlight.every(({ snapshotId }) => snapshotId !== active()?.snapshotId),
    known: () => {
      const knownSnapshotInfo = active()
      return knownSnapshotInfo === undefined ? undefined : { knownSnapshotInfo, mode: "delta" }
    },
    activeSnapshotId: () => active()?.snapshotId,
    connections: () => connections,
    customMessages,
    underWay: () => {
      const { _documentDecryptionState, _incomingQueue, _pendingChangesQueue, _snapshotInFlight, _updatesInFlight } =
        context()
      return {
        value: actor.getSnapshot().value,
        decryption: _documentDecryptionState,
        incoming: _incomingQueue.length,
        pending: _pendingChangesQueue.length,
        snapshot: _snapshotInFlight?.snapshotId,
        updates: _updatesInFlight.map(({ snapshotId, clock }) => [snapshotId, clock])
      }
    },
    until: (what, predicate) => untilAll([client], what, predicate),
    disconnect: () => actor.send({ type: "DISCONNECT" }),
    reconnect: () => actor.send({ type: "CONNECT" }),
    onChange: (listener) => {
      listeners.add(listener)
      return () => listeners.delete(listener)
    }
  }
  return { ...client, stop: () => actor.stop() }
}

/** Connects two clients to a new document, and waits until both have what the first of them writes. */
export const connectPair = (server: Pick<SecsyncClientOptions, "url" | "token">, text: string) =>
  Effect.gen(function* () {
    const documentId = crypto.randomUUID()
    const clients = yield* Effect.all([1, 2].map(() => connectClient({ ...server, documentId })))
    yield* untilAll(clients, "both have loaded", (client) => client.isSettled())
    clients[0]?.write(text)
    yield* untilAll(clients, "both have it", (client) => client.isSettled() && client.list().length === 1)
    return clients
  })
