/** The backend of docs/tokens.md with a server that has the same secret, and the page's commands for a pair of keys. */
import { mkdtempSync, readFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { assert, it } from "@effect/vitest"
import { Effect } from "effect"
import { readiness, root, run, start } from "../packages/support.ts"
import { post, syncResponse } from "../support/clients/RawVerdant.ts"
import { freePort } from "../support/network/freePort.ts"
import { startExample } from "../support/servers/ExampleProcess.ts"
import { syncAdmin } from "../support/servers/ServerProcess.ts"
import { startMemoryServer } from "../support/servers/TestServer.ts"
import { libraryOn } from "../support/verdant/Library.ts"
import { makeReplica } from "../support/verdant/Replica.ts"

it.live("the example's backend gives members a token that a server takes, and nobody else", () =>
  Effect.gen(function* () {
    const backend = yield* startExample("examples/token-endpoint.ts")
    const ask = (library: string, cookie = "session=of-ada") =>
      Effect.promise(() => fetch(`${backend.url}/?library=${library}`, { headers: { cookie } }))
    assert.strictEqual((yield* ask("notes", "session=unknown")).status, 403)
    assert.strictEqual((yield* ask("another")).status, 403)
    const answer = yield* ask("notes")
    const { accessToken } = yield* Effect.promise(() => answer.json())

    const server = yield* startMemoryServer()
    const sync = makeReplica().sync()
    const { messages, status } = yield* post(libraryOn(server, "notes"), accessToken, [sync])
    assert.strictEqual(status, 200)
    assert.isDefined(syncResponse({ messages }))
    assert.strictEqual(yield* backend.stop, 0)
  })
)

it.live(
  "the page's commands make a pair of keys: the backend signs with one, and the server verifies with the other",
  () =>
    Effect.gen(function* () {
      const page = readFileSync(join(root, "docs/tokens.md"), "utf8")
      const shown = /^```sh\n(.*?)^```/ms.exec(page)?.[1]?.replaceAll("sync-admin", `node ${syncAdmin}`).trim() ?? ""
      const commands = shown.split("\n")
      assert.lengthOf(commands, 3)
      const cwd = mkdtempSync(join(tmpdir(), "sealog-keys-"))
      for (const command of commands.slice(0, 2)) yield* Effect.promise(() => run(["sh", "-c", command], { cwd }))
      const port = String(yield* Effect.promise(freePort))
      const server = yield* Effect.acquireRelease(
        Effect.sync(() =>
          start(["sh", "-c", `exec ${commands[2]}`], {
            cwd,
            node: join(process.execPath, ".."),
            env: { SEALOG_PORT: port }
          })
        ),
        ({ stop }) => Effect.promise(stop)
      )
      assert.strictEqual(yield* Effect.promise(() => readiness(port, server)), 200)
      const mint = ["node", syncAdmin, "token", "mint", "--library", "notes", "--user", "ada"]
      const token = yield* Effect.promise(() => run([...mint, "--sign-with", "./token-key.json"], { cwd }))
      const library = libraryOn({ url: `http://127.0.0.1:${port}` }, "notes")
      assert.strictEqual((yield* post(library, token.trim(), [makeReplica().sync()])).status, 200)
    })
)
