/**
 * Connections to the nodes of a distributed log. Every node knows where all shards are, so a server sends its appends straight to the
 * node that stores them. The coordinator passes the appends on for a node that the server does not reach, or not yet.
 */
import type { StorageUnavailable } from "@sealog/server/ports"
import { rootCauseOf } from "@sealog/server/storage"
import { Cause, Clock, Effect, Exit, Scope } from "effect"
import { SqlClient } from "effect/sql"

export interface NodeAddress {
  readonly host: string
  readonly port: number
}

/** Makes a client of a node, with the name, the password and the TLS options of the coordinator's URL. */
export type OpenNode = (address: NodeAddress) => Effect.Effect<SqlClient.SqlClient, StorageUnavailable, Scope.Scope>

/** Time after which a node that was not reached, or was lost, is tried again. */
const AGAIN_MILLIS = 60_000

/** Time for the first answer of a node. */
const PATIENCE = "5 seconds"

/** The rows of the reference table `migrations`, the same on all nodes: two logs were never migrated in the same microsecond. */
const MARK =
  "(SELECT string_agg(extract(epoch FROM created_at)::text, ' ' ORDER BY migration_id) FROM sealog.migrations)"

interface Reached {
  readonly client: SqlClient.SqlClient
  readonly scope: Scope.Closeable
}

export const makeNodeClients = Effect.fnUntraced(function* (open: OpenNode) {
  const sql = yield* SqlClient.SqlClient
  const scope = yield* Effect.scope
  const reached = new Map<number, Reached>()
  const triedAt = new Map<number, number>()

  const connect = Effect.fnUntraced(function* (node: number, own: Scope.Scope) {
    const [expected] = yield* sql.unsafe<NodeAddress & { readonly mark: string }>(
      `SELECT nodename AS host, nodeport AS port, ${MARK} AS mark FROM pg_dist_node
       WHERE groupid = $1 AND noderole = 'primary' AND metadatasynced`,
      [node]
    )
    if (expected === undefined) return yield* Effect.fail("the node does not know the others")
    const client = yield* Scope.provide(open(expected), own)
    // The address is the coordinator's. Here it may lead to another database.
    const [found] = yield* client.unsafe<{ readonly mark: string }>(
      `SELECT ${MARK} AS mark FROM pg_dist_local_group WHERE groupid = $1`,
      [node]
    )
    if (found?.mark !== expected.mark) return yield* Effect.fail("its address leads to another database")
    yield* Effect.logInfo(`appends go straight to ${expected.host}:${expected.port}`)
    return client
  })

  const reach = Effect.fnUntraced(function* (node: number) {
    const own = yield* Scope.fork(scope)
    yield* connect(node, own).pipe(
      Effect.timeout(PATIENCE),
      Effect.tap((client) => Effect.sync(() => reached.set(node, { client, scope: own }))),
      Effect.onExit((exit) => (Exit.isSuccess(exit) ? Effect.void : Scope.close(own, exit))),
      Effect.catchCause((cause) =>
        Effect.logInfo(
          `the coordinator passes on the appends of node ${node}, which this server does not reach:`,
          rootCauseOf(Cause.squash(cause))
        )
      )
    )
  })

  /** Returns the node's client, or the coordinator's. Within a transaction it is the transaction's. */
  const clientOf = Effect.fnUntraced(function* (node: number) {
    const transaction = yield* Effect.serviceOption(sql.transactionService)
    if (transaction._tag === "Some") return sql
    const found = reached.get(node)
    if (found !== undefined) return found.client
    const now = yield* Clock.currentTimeMillis
    if (now - (triedAt.get(node) ?? Number.NEGATIVE_INFINITY) >= AGAIN_MILLIS) {
      triedAt.set(node, now)
      yield* Effect.forkIn(reach(node), scope)
    }
    return sql
  })

  /** Closes a node's client after a failure. The node may be away, or a standby may be in its place. */
  const lose = Effect.fnUntraced(function* (node: number, client: SqlClient.SqlClient) {
    const found = reached.get(node)
    if (found?.client !== client) return
    reached.delete(node)
    triedAt.set(node, yield* Clock.currentTimeMillis)
    yield* Effect.forkIn(Scope.close(found.scope, Exit.void), scope)
  })

  return { clientOf, lose }
})
