/** One real Postgres for a run of the bench, with its default durability; every server gets its own database. */
import { readFileSync } from "node:fs"
import { join } from "node:path"
import pg from "pg"
import { makeCluster, type PostgresCluster } from "../../test/support/storage/PostgresCluster.ts"
import { cpuSecondsOfTree } from "./processes.ts"

let cluster: Promise<PostgresCluster> | undefined

const startCluster = async () => {
  const made = await makeCluster()
  process.once("exit", made.remove)
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => process.exit(1))
  return made
}

/** User and system time of Postgres with all of its processes, also those that have ended, in seconds. */
export const postgresCpuSeconds = async (): Promise<number> => {
  const { folder } = await cluster!
  const [pid = ""] = readFileSync(join(folder, "data", "postmaster.pid"), "utf8").split("\n")
  return cpuSecondsOfTree(Number(pid))
}

/** Runs one statement on its own connection, and returns the first row. */
export const query = async (url: string, statement: string): Promise<Record<string, unknown> | undefined> => {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  try {
    return (await client.query(statement)).rows[0]
  } finally {
    await client.end()
  }
}

/** Creates an empty database, and returns its URL. */
export const createDatabase = async (): Promise<string> => {
  cluster ??= startCluster()
  const { url } = await cluster
  const name = `bench_${crypto.randomUUID().replaceAll("-", "")}`
  await query(url, `CREATE DATABASE ${name}`)
  const created = new URL(url)
  created.pathname = `/${name}`
  return created.href
}

export const dropDatabase = async (url: string): Promise<void> => {
  const name = new URL(url).pathname.slice(1)
  await query((await cluster!).url, `DROP DATABASE ${name} WITH (FORCE)`)
}
