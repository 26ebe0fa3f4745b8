/** A real Verdant client: an unmodified `@verdant-web/store`, as an app uses it, on its own device. */
import "./browser.ts"

import type { ReplicaTypeName } from "@sealog/server/ports/Access"
import { Client, type ClientWithCollections, IdbPersistence } from "@verdant-web/store"
import { type Duration, Effect, type Scope } from "effect"
import { IDBFactory } from "fake-indexeddb"
import { ClientDescriptor } from "verdant-store-3"
import { randomName } from "../servers/TestServer.ts"
import { until } from "../until.ts"
import type { Library } from "./Library.ts"
import { makeNetwork, type Network } from "./Network.ts"
import { type AppSchema, firstSchema } from "./schemas.ts"

/** realtime: WebSockets. pull: HTTP. automatic, the store's default: HTTP while the user is alone. */
export type Transport = "realtime" | "pull" | "automatic"

/** The data on a device, which outlives the client. */
export interface Device {
  readonly databases: IDBFactory
  readonly namespace: string
}

export interface VerdantClientOptions {
  readonly library: Library
  readonly user: string
  /** Default: realtime. */
  readonly transport?: Transport
  /** The replica type in its tokens. Default: realtime. */
  readonly type?: ReplicaTypeName
  /** Default: a day. */
  readonly tokensLast?: Duration.Duration
  readonly schema?: AppSchema
  /** The device of a closed client. Default: a new device. */
  readonly device?: Device
  /** The store's major version. Default: 5. */
  readonly version?: 3 | 5
  /** Connects only when the test calls `goOnline`. */
  readonly offline?: boolean
  /** The cookies that its browser sends with every request. Default: none. */
  readonly cookie?: string
  /** Deletes orphaned files from the device at once. Default: after some days. */
  readonly dropsFiles?: boolean
}

/** A document as plain data, with the fields of the tests' items. */
export interface Doc {
  readonly id: string
  readonly content: string
  readonly tags: ReadonlyArray<string>
  readonly comments: ReadonlyArray<{ readonly author: string; readonly text: string }>
  readonly [field: string]: unknown
}

export interface VerdantClient {
  readonly user: string
  readonly device: Device
  readonly network: Network
  /** The store itself. */
  readonly store: ClientWithCollections
  readonly replicaId: Effect.Effect<string>
  /** Creates a document, and returns its id. */
  readonly put: (
    document: object,
    options?: { readonly collection?: string; readonly access?: string | undefined }
  ) => Effect.Effect<string>
  /** Changes a document in one batch, and flushes it. */
  readonly edit: (id: string, change: (entity: Entity) => void, collection?: string) => Effect.Effect<void>
  readonly remove: (id: string, collection?: string) => Effect.Effect<void>
  readonly entity: (id: string, collection?: string) => Effect.Effect<Entity>
  /** All documents of a collection, sorted by id. */
  readonly documents: (collection?: string) => Effect.Effect<ReadonlyArray<Doc>>
  /** Drops the store's caches, so that it reads its documents from the device again. */
  readonly reread: () => void
  /** Waits until its documents match. */
  readonly until: (
    what: string,
    fits: (documents: ReadonlyArray<Doc>) => boolean,
    collection?: string
  ) => Effect.Effect<void>
  /** The number of files on the device that it does not know to be uploaded. Only in version 5. */
  readonly unsyncedFiles: Effect.Effect<number>
  /** True when it has synced, and every operation it sent is acknowledged. */
  readonly isSettled: () => boolean
  readonly isOnline: () => boolean
  /** Announces its end and disconnects, like an app that is closed. */
  readonly goOffline: Effect.Effect<void>
  /** Connects, and waits until it has synced or shut itself down. */
  readonly goOnline: Effect.Effect<void>
  /** Ends the client. Another can be opened on its device. */
  readonly close: Effect.Effect<void>
  /** True when the store has shut itself down. */
  readonly hasFailed: () => boolean
  /** The number of resets so far. */
  readonly resets: () => number
  /** The number of times the server asked it to restore the library. */
  readonly restores: () => number
  /** The ids of the users that it sees online. */
  readonly peers: () => ReadonlyArray<string>
  /** Errors inside the store, for a failure's message. */
  readonly problems: ReadonlyArray<string>
}

/** A document in the store. Without generated code, it has no better type. */
export type Entity = Awaited<ReturnType<ClientWithCollections[string]["put"]>>

/** The time after which a wait makes clients read their documents again. */
const PATIENCE_WITH_VIEWS_MILLIS = 5000
/** Short, because tests wait for polls. */
const PULL_INTERVAL = 100
const DEFAULT_COLLECTION = "item"

/** Opens a client and connects it, unless it is to stay offline. */
export const openClient = (options: VerdantClientOptions): Effect.Effect<VerdantClient, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.promise(() => makeClient(options)),
    ({ close }) => close
  ).pipe(Effect.tap((client) => (options.offline ? Effect.void : client.goOnline)))

/** Opens a client for each user, in order. */
export const openClients = <const Users extends ReadonlyArray<string>>(
  users: Users,
  options: Omit<VerdantClientOptions, "user">
) =>
  Effect.forEach(users, (user) => openClient({ ...options, user })) as unknown as Effect.Effect<
    { readonly [Index in keyof Users]: VerdantClient },
    never,
    Scope.Scope
  >

/**
 * Waits for a condition on the documents that clients show. A store may show less than it has, for good: an operation that
 * arrives while the store (5.5) reads a document from the device is stored, but not applied to that document; a list that the
 * older store (3.6) reads twice at once may keep the earlier result. So this makes clients read their documents again after
 * some seconds.
 */
export const untilShown = <R>(
  what: string,
  clients: () => ReadonlyArray<VerdantClient>,
  isSo: Effect.Effect<boolean, never, R>,
  describe: () => unknown
): Effect.Effect<void, never, R> =>
  Effect.suspend(() => {
    let readAt = Date.now()
    const look = Effect.tap(isSo, (is) =>
      Effect.sync(() => {
        if (is || Date.now() - readAt < PATIENCE_WITH_VIEWS_MILLIS) return
        readAt = Date.now()
        for (const client of clients()) client.reread()
      })
    )
    return until(what, look, describe)
  })

/** Waits until the server has asked the client to restore the library, and has stored its data. */
export const untilRestored = (client: VerdantClient): Effect.Effect<void> =>
  until(`${client.user} restores the library`, () => hasRestored(client))

/** True when the server has asked the client to restore the library, and has answered its data since it last asked. */
export const hasRestored = ({ network }: VerdantClient): boolean => {
  const asked = network.received.findLastIndex(({ type }) => type === "need-since")
  const restoring = network.sent.find(({ type, since, resyncAll }) => type === "sync" && since === null && !resyncAll)
  const answered = network.received.slice(asked).find(({ type }) => type === "sync-resp")
  return asked !== -1 && restoring !== undefined && answered !== undefined
}

/** Waits until all clients are settled and have the same documents, and returns the documents. */
export const untilSame = (
  clients: ReadonlyArray<VerdantClient>,
  collection = DEFAULT_COLLECTION
): Effect.Effect<ReadonlyArray<Doc>> =>
  Effect.gen(function* () {
    let all: ReadonlyArray<string> = []
    const isSo = Effect.gen(function* () {
      if (!clients.every((client) => client.isSettled())) return false
      all = (yield* Effect.forEach(clients, (client) => client.documents(collection))).map(canonical)
      return all.every((documents) => documents === all[0])
    })
    const describe = () => ({ all, clients: clients.map(describeClient) })
    yield* untilShown("all have the same documents", () => clients, isSo, describe)
    return yield* clients[0]!.documents(collection)
  })

/** The contents of items, sorted. */
export const contents = (items: ReadonlyArray<Doc>): ReadonlyArray<string> =>
  items.map(({ content }) => content).toSorted()

/** JSON with sorted keys: equal documents give equal text. */
export const canonical = (documents: ReadonlyArray<unknown>): string => JSON.stringify(documents, sortKeys)

const sortKeys = (_: string, value: unknown): unknown =>
  typeof value === "object" && value !== null && !globalThis.Array.isArray(value)
    ? Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)))
    : value

/**
 * Silences one rejection: the store (5.5) shuts itself down when it is reset during a write, and does not handle the
 * rejection of the aborted write.
 */
const keepAborted = (store: ClientWithCollections): void => {
  const sync = store.sync as unknown as { onData?: (data: unknown) => Promise<void> }
  const { onData } = sync
  if (onData === undefined) return
  sync.onData = (data) =>
    onData(data).catch((error: Error) => (error.message === "Aborted" ? new Promise(() => {}) : Promise.reject(error)))
}

/** Silences the rejection of the older store's last heartbeat, which may come after the store is closed. */
const keepLastBeat = (store: ClientWithCollections, isClosed: () => boolean): void => {
  const { messageCreator } = (store as unknown as { meta: { messageCreator: Record<string, () => Promise<unknown>> } })
    .meta
  for (const name of ["createPresenceUpdate", "createSyncStep1"]) {
    const create = messageCreator[name]!.bind(messageCreator)
    messageCreator[name] = (...args) =>
      create(...args).catch((error) => (isClosed() ? new Promise(() => {}) : Promise.reject(error)))
  }
}

/**
 * A store that polls stops for good when an answer takes three seconds, until its tab is shown again. While this process
 * stands still, that deadline passes through no fault of the server, so the tab is then shown again. Returns how to stop.
 */
const showTabAfterStandstill = (store: ClientWithCollections): (() => void) => {
  let looked = performance.now()
  const timer = setInterval(() => {
    const stood = performance.now() - looked
    looked += stood
    if (stood > 500 && store.sync.mode === "pull" && store.sync.status === "active") store.sync.reconnect()
  }, 100)
  return () => clearInterval(timer)
}

/** The private parts of the older store that `reread` needs. */
interface OlderInternals {
  readonly _entities: { readonly cache: Map<string, unknown> }
  readonly _queryCache: { readonly dropAll: () => void }
}

/** The private parts of the store that `reread` and `unsyncedFiles` need. */
interface Internals {
  readonly context: { readonly files: Promise<{ readonly listUnsynced: () => Promise<ReadonlyArray<unknown>> }> }
  readonly _entities: { readonly clearCache: () => void }
  readonly queries: { readonly forceRefreshAll: () => void }
}

const shorten = (message: unknown) => JSON.stringify(message).slice(0, 300)

/** For a failure's message. */
export const describeClient = (client: VerdantClient) => ({
  user: client.user,
  online: client.isOnline(),
  settled: client.isSettled(),
  resets: client.resets(),
  problems: client.problems,
  sent: client.network.sent.slice(-4).map(shorten),
  received: client.network.received.slice(-4).map(shorten),
  statuses: client.network.statuses.slice(-4)
})

const makeClient = async (options: VerdantClientOptions): Promise<VerdantClient> => {
  const { library, user, transport = "realtime", type = "realtime", tokensLast, schema = firstSchema } = options
  const { device = { databases: new IDBFactory(), namespace: randomName() }, version = 5 } = options
  const problems: Array<string> = []
  const network = makeNetwork(options.cookie, (error) => problems.push(`no token: ${error}`))
  const log = (level: string, ...details: ReadonlyArray<unknown>) => {
    if (level === "error" || level === "critical") problems.push(details.map(String).join(" ").slice(0, 500))
  }
  const sync = {
    fetchAuth: async () => ({
      accessToken: await network.askApp(() =>
        Effect.runPromise(library.token({ userId: user, type, ...(tokensLast && { expiresIn: tokensLast }) }))
      )
    }),
    initialPresence: {},
    defaultProfile: {},
    initialTransport: transport === "realtime" ? ("realtime" as const) : ("pull" as const),
    automaticTransportSelection: transport === "automatic",
    pullInterval: PULL_INTERVAL
  }
  const store = (
    version === 5
      ? new Client({
          ...schema,
          namespace: device.namespace,
          log,
          rebaseTimeout: 0,
          ...(options.dropsFiles && { files: { canCleanupDeletedFile: () => true } }),
          persistence: new IdbPersistence(device.databases),
          environment: {
            WebSocket: network.WebSocket,
            fetch: network.fetch,
            indexedDB: device.databases,
            location: window.location,
            history: window.history
          },
          sync
        })
      : await new ClientDescriptor({
          schema: schema.schema,
          migrations: schema.migrations,
          namespace: device.namespace,
          indexedDb: device.databases,
          sync: { ...sync, fetch: network.fetch }
        }).open()
  ) as ClientWithCollections

  let isClosed = false
  if (version === 5) keepAborted(store)
  else keepLastBeat(store, () => isClosed)
  const leaveTab = showTabAfterStandstill(store)
  const times = { reset: 0, restored: 0, synced: 0 }
  store.subscribe("resetToServer", () => {
    times.reset += 1
  })
  let hasFailed = false
  store.subscribe("developerError", (error: Error) => {
    hasFailed = true
    problems.push(`${error.message}: ${error.cause}`)
  })
  store.sync.subscribe("serverReset", () => {
    times.restored += 1
  })
  const onSynced = () => {
    times.synced += 1
  }
  // The older store has no event for a finished sync.
  if (version === 5) store.sync.subscribe("synced", onSynced)
  else store.sync.subscribe("syncingChange", (isSyncing: boolean) => isSyncing || onSynced())

  const collectionOf = (name = DEFAULT_COLLECTION) => store[name]!
  const documents = (collection?: string) =>
    Effect.promise(async () => {
      const entities: ReadonlyArray<Entity> = await collectionOf(collection).findAll().resolved
      const found: ReadonlyArray<Doc> = entities.flatMap((entity) => {
        const snapshot = entity.getSnapshot()
        return snapshot ? [JSON.parse(JSON.stringify(snapshot))] : []
      })
      return found.toSorted((a, b) => (a.id < b.id ? -1 : 1))
    })
  const entity = (id: string, collection?: string) =>
    Effect.promise(async () => (await collectionOf(collection).get(id).resolved) as Entity)

  const client: VerdantClient = {
    user,
    device,
    network,
    store,
    replicaId: Effect.promise(async () =>
      "getReplicaId" in store
        ? store.getReplicaId()
        : (await (store as { meta: { localReplica: { get(): Promise<{ id: string }> } } }).meta.localReplica.get()).id
    ),
    put: (document, { collection, access } = {}) =>
      Effect.promise(async () => {
        const created = await collectionOf(collection).put(document, access === undefined ? {} : { access })
        return created.get("id")
      }),
    edit: (id, change, collection) =>
      Effect.promise(async () => {
        const found = await collectionOf(collection).get(id).resolved
        if (!found) throw new Error(`${user} has no ${id}`)
        // A change that throws breaks the store's batch, so the error is thrown after it.
        let problem: unknown
        const run = () => {
          try {
            change(found)
          } catch (error) {
            problem = error
          }
        }
        await store.batch({ undoable: true }).run(run).flush()
        if (problem !== undefined) throw problem
      }),
    remove: (id, collection) => Effect.promise(() => collectionOf(collection).delete(id)),
    entity,
    documents,
    reread: () => {
      if (isClosed) return
      if (version === 3) {
        const { _entities, _queryCache } = store as unknown as OlderInternals
        _entities.cache.clear()
        return _queryCache.dropAll()
      }
      const { _entities, queries } = store as unknown as Internals
      _entities.clearCache()
      queries.forceRefreshAll()
    },
    until: (what, fits, collection) => {
      let last: ReadonlyArray<Doc> = []
      const isSo = Effect.map(documents(collection), (found) => {
        last = found
        return fits(found)
      })
      const describe = () => ({ documents: last, client: describeClient(client) })
      return untilShown(`${user}: ${what}`, () => [client], isSo, describe)
    },
    unsyncedFiles: Effect.promise(async () => {
      const files = await (store as unknown as Internals).context.files
      return (await files.listUnsynced()).length
    }),
    isSettled: () => {
      const acked = network.received.flatMap((message) =>
        message.type === "server-ack"
          ? [message["timestamp"]]
          : message.type === "sync-resp"
            ? [message["ackedTimestamp"]]
            : []
      )
      const last = acked.map(String).toSorted().at(-1) ?? ""
      const said = network.sent.flatMap(({ type, operations }) =>
        type === "op"
          ? (operations as ReadonlyArray<{ readonly timestamp: string }>).map(({ timestamp }) => timestamp)
          : []
      )
      return times.synced > 0 && said.every((timestamp) => timestamp <= last)
    },
    isOnline: () => store.sync.isConnected,
    goOffline: Effect.andThen(
      Effect.promise(async () => store.sync.stop()),
      until(`${user} has no request under way`, () => network.underWay() === 0)
    ),
    goOnline: Effect.gen(function* () {
      const before = times.synced
      yield* Effect.promise(async () => store.sync.start())
      yield* until(
        `${user} synced`,
        () => times.synced > before || hasFailed,
        () => describeClient(client)
      )
    }),
    close: Effect.promise(async () => {
      if (isClosed) return
      isClosed = true
      leaveTab()
      await store.close()
      network.cut()
    }),
    hasFailed: () => hasFailed,
    resets: () => times.reset,
    restores: () => times.restored,
    peers: () => Object.keys(store.sync.presence.peers),
    problems
  }
  return client
}
