/** Starts one Postgres for the whole test run, unless `TEST_DATABASE_URL` names one (with a superuser). */
import type { TestProject } from "vitest/node"
import { makeCluster } from "./PostgresCluster.ts"

declare module "vitest" {
  export interface ProvidedContext {
    readonly postgresUrl: string
    /** The storage of this project's tests. */
    readonly storage: "SQLite" | "Postgres" | "Citus"
  }
}

export default async (project: TestProject): Promise<() => void> => {
  const given = process.env["TEST_DATABASE_URL"]
  const cluster = given ? undefined : await makeCluster()
  project.provide("postgresUrl", cluster?.url ?? given ?? "")
  return () => cluster?.remove()
}
