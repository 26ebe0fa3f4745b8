/**
 * Commands of this version through the server of an older one. olderAnswers.json has the answers of the first server that
 * commands could ask. A field that is added to an answer later has to decode without them: see `added` in AdminAnswers.ts.
 */
import { readFileSync } from "node:fs"
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import { join } from "node:path"
import { DocumentId, LibraryId } from "@sealog/server/domain/Ids"
import { Effect } from "effect"
import { afterAll, assert, beforeAll, describe, it } from "vitest"
import { adminClient } from "../src/backends/adminApi.ts"
import { errorOf, freshFolder, run, schemaErrors } from "./support.ts"

const answers = JSON.parse(readFileSync(join(import.meta.dirname, "olderAnswers.json"), "utf8")) as Record<
  string,
  unknown
>

const older = createServer((request, response) => {
  const { pathname, searchParams } = new URL(request.url ?? "", "http://localhost")
  const path = pathname.replace("/admin/api", "")
  const answer = answers[`${request.method} ${path}`]
  if (answer === undefined) return void response.writeHead(404).end()
  // A list goes on after its last entry, and has no further one.
  const shown = searchParams.has("after") ? [] : answer
  const isStream = path === "/events"
  response.setHeader("content-type", isStream ? "application/x-ndjson" : "application/json")
  response.end(
    isStream
      ? (shown as ReadonlyArray<unknown>).map((each) => `${JSON.stringify(each)}\n`).join("")
      : JSON.stringify(shown)
  )
})
const cwd = freshFolder()
let env: Record<string, string> = {}
let url = ""

beforeAll(async () => {
  await new Promise<void>((listening) => void older.listen(0, "127.0.0.1", listening))
  url = `http://127.0.0.1:${(older.address() as AddressInfo).port}`
  env = { SEALOG_SERVER: url, ADMIN_TOKEN: "a-token" }
})
afterAll(() => older.close())

const ask = async (schema: string, ...command: ReadonlyArray<string>) => {
  const ran = await run([...command, "--json"], { cwd, env })
  assert.strictEqual(ran.code, 0, ran.stderr)
  assert.strictEqual(schemaErrors(schema, JSON.parse(ran.stdout)), "")
  return JSON.parse(ran.stdout) as Record<string, unknown>
}

describe("a command through the server of an older version", () => {
  const commands: ReadonlyArray<readonly [schema: string, ...command: ReadonlyArray<string>]> = [
    ["library-show", "library", "show", "notes"],
    ["document-create", "document", "create", "notes", "plans"],
    ["events", "events", "notes"],
    ["replica-list", "replica", "list", "notes"],
    ["stats", "stats"],
    ["connections", "connections"],
    ["evict", "evict", "notes", "--dry-run"],
    ["delete", "delete", "notes", "--dry-run"],
    ["prune", "prune", "--all", "--older-than", "1s", "--dry-run"],
    ["suspend", "suspend", "notes"],
    ["resume", "resume", "notes"]
  ]
  for (const [schema, ...command] of commands) {
    it(`${command.join(" ")} works`, async () => {
      await ask(schema, ...command)
    })
  }

  it("library list does not know how near a library is to its quota", async () => {
    const { libraries } = await ask("library-list", "library", "list")
    assert.deepInclude((libraries as ReadonlyArray<object>)[0], { libraryId: "notes", events: 6, nearestQuota: null })
    assert.include((await run(["library", "list"], { cwd, env })).stdout, "not known")
  })

  it("document list and document show do not know the use of a document's quota", async () => {
    const { documents } = await ask("document-list", "document", "list", "notes")
    assert.deepInclude((documents as ReadonlyArray<object>)[0], { documentId: "welcome", documentBytes: null })
    assert.isNull((await ask("document-show", "document", "show", "notes", "welcome"))["documentBytes"])
    for (const command of [
      ["list", "notes"],
      ["show", "notes", "welcome"]
    ])
      assert.include((await run(["document", ...command], { cwd, env })).stdout, "not known")
  })

  it("library quota shows no figure where the server has none", async () => {
    const { atMost, use } = await ask("library-quota", "library", "quota", "notes")
    assert.deepStrictEqual([...new Set(Object.values(atMost as object))], [null])
    assert.deepInclude(use, { objects: 1, payloadBytes: null })
    const { stdout } = await run(["library", "quota", "notes"], { cwd, env })
    assert.match(stdout, /^documents +500 +1$/m)
    assert.match(stdout, /^objects +server's +1$/m)
    assert.match(stdout, /^payloadBytes +server's +not known$/m)
  })

  it("library quota does not say that it set a part that the server does not know", async () => {
    const ran = await run(["library", "quota", "notes", "--payload-bytes", "1GiB", "--json"], { cwd, env })
    assert.strictEqual(ran.code, 1)
    assert.strictEqual(errorOf(ran).code, "SERVER_TOO_OLD")
  })

  it("an event's size is not known", async () => {
    const params = { libraryId: LibraryId.make("notes"), documentId: DocumentId.make("welcome") }
    const asked = Effect.flatMap(adminClient({ url, token: "a-token" }), ({ documents }) =>
      documents.events({ params, query: {} })
    )
    const events = await Effect.runPromise(asked)
    assert.deepStrictEqual(
      events.map(({ payloadBytes }) => payloadBytes),
      [null, null]
    )
  })

  it("a path that the server does not have is named as that", async () => {
    const ran = await run(["suspend", "other", "--json"], { cwd, env })
    assert.strictEqual(ran.code, 3)
    assert.include(errorOf(ran).try, "older")
  })
})
