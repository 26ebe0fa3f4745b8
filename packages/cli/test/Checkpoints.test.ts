/** Signed checkpoints, as an operator makes and uses them. */
import { execFileSync } from "node:child_process"
import { existsSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { DatabaseSync } from "node:sqlite"
import { makeAuthor, snapshotMessage } from "@sealog/server/testing"
import { Effect } from "effect"
import { assert, describe, it } from "vitest"
import { connectRaw } from "#test-support/clients/RawSecsync"
import { until } from "#test-support/until"
import { errorOf, freshFolder, jsonOf, run, serve } from "./support.ts"

const storeDocument = (port: number, token: string, documentId: string) =>
  Effect.gen(function* () {
    const client = yield* connectRaw({ url: `ws://127.0.0.1:${port}`, documentId, token })
    client.send(snapshotMessage(makeAuthor(), { docId: documentId }))
    yield* client.next("snapshot-saved")
  }).pipe(Effect.scoped, Effect.runPromise)

describe("checkpoints", () => {
  it("are made by a server, and name a document that was removed from the database", async () => {
    const cwd = freshFolder()
    const key = jsonOf(
      "checkpoint-key",
      await run(["checkpoint", "key", "key", "--name", "example.com/log", "--json"], { cwd })
    )
    const again = await run(["checkpoint", "key", "key", "--name", "example.com/log", "--json"], { cwd })
    assert.deepStrictEqual([again.code, errorOf(again).code], [1, "KEY_FILE_EXISTS"])
    const env = { SEALOG_CHECKPOINT_KEY_FILE: "key", SEALOG_CHECKPOINT_VERIFIER: key["verifier"] as string }
    const server = await serve(["--checkpoints", "points", "--checkpoint-every", "1s"], { cwd, env })
    const { stdout: token } = await run(["token", "mint", "--library", "notes", "--user", "ada"], { cwd })
    for (const name of ["welcome", "diary"]) await storeDocument(server.port, token.trim(), name)
    const file = (name: string) => join(cwd, "points", name)
    await Effect.runPromise(
      until("a checkpoint covers both", () => existsSync(file("checkpoint-2")) || existsSync(file("checkpoint-3")))
    )
    await server.stop("SIGTERM")

    // The server may have written since its last one.
    jsonOf("checkpoint", await run(["checkpoint", "points", "--json"], { cwd, env }))
    const made = jsonOf("checkpoint", await run(["checkpoint", "points", "--json"], { cwd, env }))
    assert.strictEqual(made["added"], 0)
    const proof = await run(["checkpoint", "prove", "points", "--library", "notes", "--document", "diary", "--json"], {
      cwd,
      env
    })
    jsonOf("checkpoint-prove", proof)
    writeFileSync(join(cwd, "proof.json"), proof.stdout)
    const program = join(import.meta.dirname, "../../../examples/verify-checkpoint.mjs")
    const verified = execFileSync(process.execPath, [program, String(key["verifier"]), join(cwd, "proof.json")], {
      encoding: "utf8"
    })
    assert.include(verified, '"streamId":"diary"')
    const intact = await run(["replay", "--since", "points"], { cwd, env })
    assert.deepStrictEqual([intact.code, intact.stderr], [0, ""])

    const db = new DatabaseSync(join(cwd, "data/sealog.db"))
    db.exec("PRAGMA foreign_keys = OFF; DROP TRIGGER events_are_not_deleted")
    db.exec(`CREATE TEMP TABLE gone AS SELECT e.position, s.stream_number FROM events e
      JOIN streams s ON s.stream_number = e.stream_number WHERE s.stream_id = 'diary'`)
    db.exec("DELETE FROM payloads WHERE position IN (SELECT position FROM gone)")
    for (const table of ["events", "streams"]) {
      db.exec(`DELETE FROM ${table} WHERE stream_number IN (SELECT stream_number FROM gone)`)
    }
    db.close()
    assert.strictEqual((await run(["replay"], { cwd })).code, 0)
    const replayed = await run(["replay", "--since", "points", "--json"], { cwd, env })
    assert.strictEqual(replayed.code, 1)
    assert.deepStrictEqual(jsonOf("replay", replayed)["problems"], [
      {
        ...{ libraryId: "notes", streamId: "diary", version: 1, problem: "not-continued" },
        detail: "the stream is gone, and the checkpoint knows it"
      }
    ])
    const refused = await run(["checkpoint", "points", "--json"], { cwd, env })
    assert.deepStrictEqual([refused.code, errorOf(refused).code], [1, "LOG_NOT_CONTINUED"])
  })

  it("need their key", async () => {
    const cwd = freshFolder()
    const server = await run(["serve", "--port", "0", "--checkpoints", "points", "--json"], { cwd })
    assert.deepStrictEqual([server.code, errorOf(server).code], [2, "USAGE"])
    writeFileSync(join(cwd, "key"), "PRIVATE+KEY+of+nothing")
    const wrong = await run(["checkpoint", "points", "--key-file", "key", "--json"], { cwd })
    assert.deepStrictEqual([wrong.code, errorOf(wrong).code], [2, "CHECKPOINT_KEY_INVALID"])
  })
})
