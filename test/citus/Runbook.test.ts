/** Runs the commands of docs/runbooks/citus.md, with a client connected. */
import { assert, describe, it } from "@effect/vitest"
import { PgStorage } from "@sealog/storage-pg"
import { Effect } from "effect"
import { SqlClient } from "effect/sql"
import { vi } from "vitest"
import { freePort } from "../support/network/freePort.ts"
import { connectClient } from "../support/secsync/SecsyncClient.ts"
import { mintToken } from "../support/servers/ServerProcess.ts"
import { randomName, TOKEN_SECRET } from "../support/servers/TestServer.ts"
import { citusDatabaseWithout, nodes } from "../support/storage/citus.ts"
import { openRunbook } from "../system/Runbook.ts"

// Shards move one after another, in the background.
vi.setConfig({ testTimeout: 900_000 })

describe("the runbook of a cluster", () => {
  it.live("citus.md moves a log with its clients connected, and adds a worker while they write", () =>
    Effect.gen(function* () {
      const last = (yield* nodes).at(-1)!
      const coordinator = yield* citusDatabaseWithout([last])
      const role = `server_${crypto.randomUUID().slice(0, 8)}`
      const asOwner = (statement: string) =>
        Effect.flatMap(SqlClient.SqlClient, (sql) => sql.unsafe(statement)).pipe(
          Effect.provide(PgStorage.layerClient({ url: coordinator })),
          Effect.orDie
        )
      yield* Effect.acquireRelease(asOwner(`CREATE ROLE ${role} LOGIN`), () =>
        Effect.andThen(asOwner(`DROP OWNED BY ${role}`), asOwner(`DROP ROLE ${role}`))
      )
      const port = yield* Effect.promise(freePort)
      const page = yield* openRunbook("citus.md", {
        units: { sealog: `sync-admin serve --host 127.0.0.1 --port ${port} --metrics-port 0` },
        settings: { DATABASE_URL: "sqlite:FOLDER/data/sealog.db", SEALOG_FILES: "FOLDER/files", TOKEN_SECRET },
        variables: () => ({
          ...{ COORDINATOR: coordinator, SERVER_ROLE: role, URL: `http://127.0.0.1:${port}` },
          ...{ NODE_HOST: last.host, NODE_PORT: String(last.port) }
        })
      })
      yield* page.run("systemctl start sealog")
      const options = {
        url: `ws://127.0.0.1:${port}`,
        documentId: randomName(),
        token: yield* mintToken(randomName())
      }
      const clients = [yield* connectClient(options), yield* connectClient(options)]
      const untilHave = (count: number) =>
        Effect.forEach(clients, (client) => client.until(`it has ${count}`, () => client.list().length === count))
      clients[0]!.write("1")
      yield* untilHave(1)
      yield* page.next
      yield* page.next
      yield* page.next
      clients[1]!.write("2")
      yield* untilHave(2)
      yield* page.next
      clients[0]!.write("3")
      yield* untilHave(3)
      const placed = yield* page.rest
      assert.include(placed, String(last.port))
      clients[1]!.write("4")
      yield* untilHave(4)
      assert.include(page.logOf("sealog"), "NOTIFY does not cross the nodes")
      yield* page.run(`sync-admin replay --verify --database ${coordinator}`)
    })
  )
})
