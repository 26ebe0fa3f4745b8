/** The programs of docs/changes.md: the consumer of server-sent events, and the receiver of webhooks. */
import { join } from "node:path"
import { assert, it } from "@effect/vitest"
import { Effect } from "effect"
import { freshFolder, start, writeFiles } from "../packages/support.ts"
import { post, syncResponse } from "../support/clients/RawVerdant.ts"
import { shown, tryReceiver } from "../support/docs/tryReceiver.ts"
import { startMemoryServer } from "../support/servers/TestServer.ts"
import { libraryOn } from "../support/verdant/Library.ts"
import { initialize, makeReplica } from "../support/verdant/Replica.ts"

const APP = `import { existsSync, readFileSync, writeFileSync } from "node:fs"
const token = process.env["TOKEN"]
const loadVersion = () => existsSync("version") ? readFileSync("version", "utf8") : undefined
const handle = ({ data, type }) => console.log(type, JSON.stringify(data.documents))
const saveVersion = (version) => {
  writeFileSync("version", version)
  console.log("saved", version)
}
`

it.live("the consumer processes each change once, also across its restart", () =>
  Effect.gen(function* () {
    const server = yield* startMemoryServer()
    const library = libraryOn(server)
    const TOKEN = yield* library.token({ userId: "backend", changes: true })
    const user = yield* library.token({ userId: "ada" })
    const replica = makeReplica()
    let since: unknown = null
    const write = Effect.fnUntraced(function* (id: string) {
      const operations = [replica.operation(`item/${id}`, initialize({ id, content: "milk" }))]
      const { messages } = yield* post(library, user, [replica.sync({ since, operations })])
      since = syncResponse({ messages })?.["ackedTimestamp"]
    })

    const cwd = freshFolder()
    const consumer = shown("Server-sent events", "ts").replace(
      "https://sync.example.org",
      server.url.replace("ws", "http")
    )
    writeFiles(cwd, { "consumer.mts": APP + consumer })
    const startConsumer = Effect.acquireRelease(
      Effect.sync(() => start(["node", "consumer.mts"], { cwd, node: join(process.execPath, ".."), env: { TOKEN } })),
      ({ stop }) => Effect.promise(stop)
    )
    const first = yield* startConsumer
    yield* write("41")
    yield* Effect.promise(() => first.written(/verdant\.changed .*"41"[\s\S]*saved [1-9]/))
    yield* Effect.promise(first.stop)
    yield* write("42")
    const second = yield* startConsumer
    yield* Effect.promise(() => second.written(/verdant\.changed .*"42"/))
    assert.notInclude(second.output(), '"41"')
  })
)

it.live("the receiver in Node stores a delivery that its secret signed, and refuses another", () =>
  tryReceiver({
    language: "ts",
    program: "node",
    file: "receiver.mts",
    store: 'const store = async (_: unknown, { type }: { type: string }) => console.log("stored", type)'
  })
)
