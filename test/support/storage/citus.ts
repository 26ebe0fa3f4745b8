/** Fresh databases on the Citus cluster that `TEST_CITUS_URL` names: a superuser on its coordinator. */
import { PgStorage } from "@sealog/storage-pg"
import { Effect, type Scope } from "effect"
import { SqlClient } from "effect/sql"

interface Node {
  readonly host: string
  readonly port: number
}

const urlOf = (database?: string, node?: Node): string => {
  const named = process.env["TEST_CITUS_URL"]
  if (named === undefined) throw new Error("TEST_CITUS_URL names no cluster")
  const url = new URL(named)
  if (database !== undefined) url.pathname = `/${database}`
  if (node !== undefined) {
    url.hostname = node.host
    url.port = String(node.port)
  }
  return url.href
}

const administer = (statement: string, url: string) =>
  Effect.flatMap(SqlClient.SqlClient, (sql) => sql.unsafe(statement)).pipe(
    Effect.provide(PgStorage.layerClient({ url })),
    Effect.orDie
  )

/** Every node of the cluster, the coordinator first. */
export const nodes: Effect.Effect<ReadonlyArray<Node>> = Effect.suspend(() =>
  Effect.flatMap(
    SqlClient.SqlClient,
    (sql) => sql<Node>`SELECT nodename AS host, nodeport AS port FROM pg_dist_node WHERE isactive ORDER BY groupid`
  ).pipe(Effect.provide(PgStorage.layerClient({ url: urlOf() })), Effect.orDie)
)

/** The URL of an empty database on all nodes. Its cluster does not know these workers yet. */
export const citusDatabaseWithout = Effect.fnUntraced(function* (absent: ReadonlyArray<Node>) {
  const [coordinator, ...workers] = yield* nodes
  const all = [coordinator!, ...workers]
  const name = `test_${crypto.randomUUID().replaceAll("-", "")}`
  for (const node of all) {
    yield* Effect.acquireRelease(administer(`CREATE DATABASE ${name}`, urlOf(undefined, node)), () =>
      administer(`DROP DATABASE ${name} WITH (FORCE)`, urlOf(undefined, node))
    )
    yield* administer("CREATE EXTENSION citus", urlOf(name, node))
  }
  const url = urlOf(name)
  yield* administer(`SELECT citus_set_coordinator_host('${coordinator!.host}', ${coordinator!.port})`, url)
  const known = workers.filter(({ port }) => !absent.some((node) => node.port === port))
  yield* alone(Effect.forEach(known, ({ host, port }) => administer(`SELECT citus_add_node('${host}', ${port})`, url)))
  return url
})

/**
 * Runs an effect while no other test does. Citus alters the roles of a node that it adds, and two databases that add it at once fail:
 * `tuple concurrently updated`.
 */
const alone = <A>(effect: Effect.Effect<A>) =>
  Effect.flatMap(SqlClient.SqlClient, (sql) =>
    sql.withTransaction(Effect.andThen(sql`SELECT pg_advisory_xact_lock(hashtext('sealog tests add a node'))`, effect))
  ).pipe(Effect.provide(PgStorage.layerClient({ url: urlOf() })), Effect.orDie)

/** The URL of an empty database of the whole cluster. */
export const emptyCitusDatabase: Effect.Effect<string, never, Scope.Scope> = citusDatabaseWithout([])

/** The URL of a migrated and distributed database. */
export const freshCitusDatabase: Effect.Effect<string, never, Scope.Scope> = Effect.tap(emptyCitusDatabase, (url) =>
  Effect.orDie(PgStorage.applyMigrationsAndDistribute({ url }))
)

/** The URL of the same database on one node. */
export const nodeUrl = (url: string, node: Node): string => urlOf(new URL(url).pathname.slice(1), node)
