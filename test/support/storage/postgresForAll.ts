/** One Postgres for a whole test run, made before the first test; `TEST_DATABASE_URL` (a superuser's) names another. */
import type { TestProject } from "vitest/node"
import { makeCluster } from "./PostgresCluster.ts"

declare module "vitest" {
  export interface ProvidedContext {
    readonly postgresUrl: string
    /** The storage that the tests of this project run on. */
    readonly storage: "SQLite" | "Postgres"
  }
}

export default async (project: TestProject): Promise<() => void> => {
  const given = process.env["TEST_DATABASE_URL"]
  const cluster = given ? undefined : await makeCluster()
  project.provide("postgresUrl", cluster?.url ?? given ?? "")
  return () => cluster?.remove()
}
