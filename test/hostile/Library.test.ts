/** Attacks by users of one library: they have its tokens, and none for any other. */
import { randomBytes } from "node:crypto"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { makeAuthor, snapshotMessage } from "@sealog/server/testing"
import { Effect, type Scope } from "effect"
import { vi } from "vitest"
import { connectRaw, openRaw } from "../support/clients/RawSecsync.ts"
import { connectVerdant, post, refusedUpgrade, registerReplica } from "../support/clients/RawVerdant.ts"
import { ask, BOUNDARY, bearer, formHeaders } from "../support/network/uploads.ts"
import { runCommand } from "../support/servers/ServerProcess.ts"
import { initialize, makeReplica, set } from "../support/verdant/Replica.ts"
import { attackerOf, handled, sendOperations, signed, untilCompacted } from "./attackers.ts"
import { type Battle, withstands } from "./UnderAttack.ts"

vi.setConfig({ testTimeout: 300_000 })

const megabytes = (count: number): string => "x".repeat(count * 1024 * 1024)

/** Runs with a folder for files, which is removed afterwards. */
const withFolder = <A>(use: (folder: string) => Effect.Effect<A, never, Scope.Scope>) =>
  Effect.acquireUseRelease(
    Effect.sync(() => mkdtempSync(join(tmpdir(), "sealog-hostile-"))),
    use,
    (folder) => Effect.sync(() => rmSync(folder, { recursive: true }))
  )

/** Fills an object to the limit and beyond, and has it compacted. */
const fillObject = (battle: Battle) =>
  Effect.gen(function* () {
    const attacker = yield* attackerOf(battle)
    const patches = [initialize({ a: megabytes(2) }), set("b", megabytes(2)), set("c", megabytes(2))]
    yield* sendOperations(attacker, "item/large", patches, 1)
    yield* untilCompacted(battle, attacker)
  })

/** Sends huge operations by a token that allows none. */
const writeReadOnly = Effect.fnUntraced(function* (battle: Battle) {
  for (let round = 0; round < 5; round++) {
    const attacker = yield* attackerOf(battle, "read-only")
    const { connection, replica } = attacker
    const operations = Array.from({ length: 10 }, () => replica.operation("item/x", initialize(megabytes(3))))
    connection.send(replica.op(...operations))
    yield* handled(attacker)
  }
})

/** Sends timestamps that are later than any other, because their schema version is. */
const jumpAhead = Effect.fnUntraced(function* (battle: Battle) {
  const late = makeReplica().now(0, 36 ** 4 - 1)
  assert.match(late, /^zzzz/)
  for (let round = 0; round < 20; round++) {
    const attacker = yield* attackerOf(battle)
    const { connection, replica } = attacker
    const operations = Array.from({ length: 100 }, (_, i) => ({
      ...replica.operation(`item/${i}`, initialize({})),
      timestamp: late
    }))
    connection.send(replica.op(...operations))
    connection.send(replica.ack({ timestamp: late }))
    connection.send(replica.sync({ timestamp: late, since: late }))
    yield* handled(attacker)
  }
  const connection = yield* connectVerdant(battle.library, yield* battle.library.token({ userId: "newcomer" }))
  connection.send(makeReplica().sync({ resyncAll: true }))
  assert.notInclude(JSON.stringify(yield* connection.next("sync-resp")), "zzzz")
})

/** Syncs as another user's replica before and after an eviction. Its owner comes back all the same. */
const takeReplica = Effect.fnUntraced(function* (battle: Battle) {
  const { database, library } = battle
  const owner = yield* connectVerdant(library, yield* library.token({ userId: "ada" }))
  const replica = makeReplica()
  yield* registerReplica(owner, replica)
  owner.send(replica.op(replica.operation("item/ada", initialize({}))))
  yield* owner.next("server-ack")
  yield* owner.close
  const takeOver = Effect.gen(function* () {
    const { connection } = yield* attackerOf(battle)
    connection.send(makeReplica(replica.id).sync({ resyncAll: true }))
    yield* connection.next("forbidden")
  })
  yield* takeOver
  const evicted = yield* runCommand(database, "evict", library.id, "--yes")
  assert.strictEqual(evicted.exitCode, 0, evicted.stderr)
  yield* takeOver
  const again = yield* connectVerdant(library, yield* library.token({ userId: "ada" }))
  yield* registerReplica(again, replica)
})

/** Uploads under the id of another user's file, reads it, and sends forms and links that are malformed. */
const takeFile = Effect.fnUntraced(function* ({ library }: Battle) {
  const url = `${library.endpoint}/files/${crypto.randomUUID()}`
  const [ada, mallory] = [yield* library.token({ userId: "ada" }), yield* library.token({ userId: "mallory" })]
  const upload = (token: string, body: BodyInit, headers = {}) =>
    ask(url, { method: "POST", headers: { ...bearer(token), ...headers }, body })
  const form = (text: string) => {
    const form = new FormData()
    form.append("file", new File([text], "diary.txt"))
    return form
  }
  assert.strictEqual((yield* upload(ada, form("of ada"))).status, 200)
  assert.strictEqual((yield* upload(mallory, form("of mallory"))).status, 403)
  assert.strictEqual((yield* ask(url, { headers: bearer(mallory) })).status, 404)
  assert.strictEqual((yield* ask(`${url}/content`, { headers: bearer(mallory) })).status, 404)
  const noBlankLine = `--${BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="x"\r\n--${BOUNDARY}--\r\n`
  assert.strictEqual((yield* upload(ada, noBlankLine, formHeaders)).status, 400)
  const link = ((yield* ask(url, { headers: bearer(ada) })).json as { readonly url: string }).url
  for (const other of [`${link}=`, `${link}&library=${library.id}`, link.replace("expires=", "expires=%2B")]) {
    assert.strictEqual((yield* ask(other)).status, 401, other)
  }
  assert.strictEqual((yield* ask(link)).bytes.toString(), "of ada")
})

/** Connects with tokens that the app signed for users whose ids are no text. */
const nameNobody = Effect.fnUntraced(function* ({ library, server }: Battle) {
  const exp = Math.floor(Date.now() / 1000) + 600
  for (const sub of ["\ud800", "", "ada\u001b[2J", "\u0000", { toString: 1 }, "x".repeat(6000)]) {
    const token = signed({ sub, lib: library.id, type: 0, exp })
    assert.strictEqual(yield* refusedUpgrade(library, ["Bearer", token]), 401)
    assert.strictEqual((yield* post(library, token, [])).status, 401)
    const document = yield* openRaw({ url: server.url, documentId: "attacked", token })
    yield* document.closed
  }
})

describe("a user of one library does not hurt another library", () => {
  it.live("with an object that becomes too large", () => withstands({ attack: fillObject }))

  it.live("with a list of 60,000 items that are far apart", () =>
    withstands({
      attack: (battle) =>
        Effect.gen(function* () {
          const attacker = yield* attackerOf(battle)
          yield* sendOperations(attacker, "item/sparse", [initialize([])])
          const apart = Array.from({ length: 60_000 }, (_, i) => ({ op: "list-set", index: (i + 1) * 900, value: 1 }))
          yield* sendOperations(attacker, "item/sparse", apart)
          yield* untilCompacted(battle, attacker)
        })
    })
  )

  it.live("with 20,000 removals from a list of 1,900,000 numbers", () =>
    withstands({
      attack: (battle) =>
        Effect.gen(function* () {
          const attacker = yield* attackerOf(battle)
          yield* sendOperations(attacker, "item/long", [initialize(Array.from({ length: 1_900_000 }, () => 1))])
          const removals = Array.from({ length: 20_000 }, (_, i) => ({ op: "list-remove", value: 2 + i }))
          yield* sendOperations(attacker, "item/long", removals)
          yield* untilCompacted(battle, attacker)
        })
    })
  )

  it.live("with what its tokens do not allow: huge operations, timestamps of no app, users that are no text", () =>
    withstands({
      attack: (battle) =>
        Effect.gen(function* () {
          yield* Effect.scoped(writeReadOnly(battle))
          yield* Effect.scoped(jumpAhead(battle))
          yield* Effect.scoped(nameNobody(battle))
        })
    })
  )

  it.live("with the replica and the file of another user, malformed uploads and altered links", () =>
    withFolder((folder) =>
      withstands({
        args: ["--files", folder],
        attack: (battle) => Effect.andThen(Effect.scoped(takeReplica(battle)), takeFile(battle))
      })
    )
  )

  it.live("with twice as many new objects as its quota", () =>
    withstands({
      args: ["--quota", "objects=20000"],
      attack: (battle) =>
        Effect.gen(function* () {
          const attacker = yield* attackerOf(battle)
          const { connection, replica } = attacker
          for (let round = 0; round < 40; round++) {
            const made = Array.from({ length: 1000 }, (_, i) => replica.operation(`item/${round}-${i}`, initialize({})))
            connection.send(replica.op(...made))
            yield* handled(attacker)
          }
          assert.isTrue(connection.messages.some(({ type }) => type === "forbidden"))
        })
    })
  )

  it.live("with snapshots of 45,000 clocks and a bad signature", () =>
    withstands({
      attack: ({ library, server }) =>
        Effect.gen(function* () {
          const token = yield* library.token({ userId: "mallory" })
          const clocks = Object.fromEntries(
            Array.from({ length: 45_000 }, (_, i) => [randomBytes(32).toString("base64url"), i])
          )
          const author = makeAuthor()
          const signature = randomBytes(64).toString("base64url")
          for (let round = 0; round < 5; round++) {
            const client = yield* connectRaw({ url: server.url, documentId: "attacked", token })
            client.send({ ...snapshotMessage(author, { docId: "attacked", clocks }), signature })
            yield* Effect.raceFirst(Effect.asVoid(client.next("snapshot-save-failed")), Effect.asVoid(client.closed))
          }
        })
    })
  )
})
