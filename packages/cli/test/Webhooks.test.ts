/** The commands for webhooks, with a real receiver and a real server. */
import { Effect, Exit, Scope } from "effect"
import { afterAll, assert, beforeAll, describe, it } from "vitest"
import { isSigned, startReceiver, type WebhookReceiver } from "#test-support/servers/WebhookReceiver"
import { layerOf, storages } from "#test-support/storage/databases"
import { until } from "#test-support/until"
import { errorOf, freshFolder, jsonOf, run, serve, storeDocument } from "./support.ts"

for (const { name, fresh } of storages) {
  describe(name, () => {
    const scope = Scope.makeUnsafe()
    const cwd = freshFolder()
    let database = ""
    let receiver: WebhookReceiver
    const sealog = (...args: ReadonlyArray<string>) => run(args, { cwd, env: { DATABASE_URL: database } })

    beforeAll(async () => {
      database = await Effect.runPromise(Scope.provide(fresh, scope))
      receiver = await Effect.runPromise(Scope.provide(startReceiver, scope))
      await Effect.runPromise(Effect.provide(storeDocument(2), layerOf(database)))
    })
    afterAll(() => Effect.runPromise(Scope.close(scope, Exit.void)))

    it("a running server delivers to a webhook that is added, from the first change on", async () => {
      const server = await serve([], { cwd, env: { DATABASE_URL: database } })
      const before = receiver.taken().length
      const { id, secret } = jsonOf(
        "webhook-add",
        await sealog("webhook", "add", receiver.url, "--from-start", "--json")
      )
      await Effect.runPromise(receiver.untilTaken(before + 3))
      const types = receiver
        .taken()
        .slice(before)
        .map(({ type }) => type)
      assert.deepStrictEqual(types, ["secsync.snapshot_stored", "secsync.update_stored", "secsync.update_stored"])
      assert.isTrue(
        receiver
          .taken()
          .slice(before)
          .every((message) => isSigned(String(secret), message))
      )
      const isRecorded = async () =>
        jsonOf("webhook-show", await sealog("webhook", "show", String(id), "--json"))["streamsBehind"] === 0
      await Effect.runPromise(until("the deliveries are recorded", Effect.promise(isRecorded)))
      await sealog("webhook", "remove", String(id))
      const { code, stderr } = await server.stop("SIGTERM")
      assert.strictEqual(code, 0)
      assert.notInclude(stderr, String(secret).slice(10, 30))
    })

    // The commands are the same on each storage.
    if (name !== "SQLite") return

    it("a webhook is added, shown, tried, and removed, and its secret is shown once", async () => {
      const added = await sealog(
        "webhook",
        "add",
        receiver.url,
        "--library",
        "notes",
        "--type",
        "secsync.update_stored"
      )
      assert.strictEqual(added.code, 0, added.stderr)
      const [, id = "", secret = ""] = /^Added webhook ([0-9a-f]{12})\..*\n(whsec_\S+)\n$/.exec(added.stdout) ?? []
      assert.isTrue(secret.length > 40, added.stdout)
      const { webhooks } = jsonOf("webhook-list", await sealog("webhook", "list", "--json"))
      assert.deepInclude((webhooks as [object])[0], {
        ...{ id, url: receiver.url, stopped: 0 },
        ...{ libraries: ["notes"], types: ["secsync.update_stored"] }
      })
      const shown = jsonOf("webhook-show", await sealog("webhook", "show", id, "--json"))
      assert.deepInclude(shown, { id, streamsBehind: 0, deadLetters: [] })
      assert.strictEqual(jsonOf("webhook-test", await sealog("webhook", "test", id, "--json"))["status"], 200)
      assert.isTrue(isSigned(secret, receiver.received.at(-1)!))
      receiver.answer(() => 500)
      const failed = await sealog("webhook", "test", id, "--json")
      assert.deepStrictEqual([failed.code, errorOf(failed).code], [1, "WEBHOOK_FAILED"])
      receiver.answer(() => 200)
      assert.deepStrictEqual(jsonOf("webhook-replay", await sealog("webhook", "replay", id, "--json"))["libraries"], [])
      const events = await sealog("events", "@server", "--json")
      assert.include(events.stdout, "WebhookAdded")
      for (const { stdout, stderr } of [events, await sealog("webhook", "list"), await sealog("events", "@server")]) {
        assert.notInclude(stdout + stderr, secret.slice(10, 30))
      }
      assert.strictEqual((await sealog("webhook", "remove", id, "--as", "grace")).stdout, `Removed webhook ${id}.\n`)
      assert.strictEqual((await sealog("webhook", "list")).stdout, "No webhooks.\n")
      const gone = await sealog("webhook", "remove", id, "--json")
      assert.deepStrictEqual([gone.code, errorOf(gone).code], [1, "NO_SUCH_WEBHOOK"])
      assert.strictEqual(jsonOf("replay", await sealog("replay", "--json"))["problemCount"], 0)
    })

    it("names what is wrong with an argument", async () => {
      for (const [args, exit, code] of [
        [["add", "ftp://example.org"], 2, "WEBHOOK_URL_INVALID"],
        [["add", "https://user:password@example.org/"], 2, "WEBHOOK_URL_INVALID"],
        [["add", receiver.url, "--type", "everything"], 2, "CHANGE_TYPE_INVALID"],
        [["show", "0123456789ab"], 1, "NO_SUCH_WEBHOOK"],
        [["replay", "0123456789ab", "--skip"], 2, "USAGE"],
        [["test", "0123456789ab"], 1, "NO_SUCH_WEBHOOK"]
      ] as const) {
        const ran = await sealog("webhook", ...args, "--json")
        assert.deepStrictEqual([ran.code, errorOf(ran).code], [exit, code], args.join(" "))
        assert.notInclude(ran.stdout, "password")
      }
    })
  })
}
