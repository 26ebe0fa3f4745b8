import { availableParallelism } from "node:os"
import { assert, describe, it } from "vitest"
import { workerOf, workersOf } from "../src/input/workers.ts"
import { errorOf, freshFolder, run } from "./support.ts"

const postgres = { database: "postgres://sealog@localhost/sealog", dev: false }

const codeOf = (settings: Parameters<typeof workersOf>[0]): unknown => {
  try {
    return workersOf(settings)
  } catch (error) {
    return (error as { readonly code: string }).code
  }
}

describe("serve --workers", () => {
  it("is refused on SQLite, with the reason and a way out", async () => {
    for (const workers of ["2", "auto"]) {
      const ran = await run(["serve", "--workers", workers, "--json"], { cwd: freshFolder() })
      assert.strictEqual(ran.code, 2, ran.stderr)
      const { code: name, message, try: tryThis } = errorOf(ran)
      assert.strictEqual(name, "WORKERS_NEED_POSTGRES")
      assert.include(message, "One process at a time writes to a SQLite database")
      assert.include(tryThis ?? "", "--database postgres://")
    }
  })

  it("takes a number, or auto for one process for each core", () => {
    assert.strictEqual(codeOf({ ...postgres, workers: "3" }), 3)
    assert.strictEqual(codeOf({ ...postgres, workers: "auto" }), Math.min(availableParallelism(), 64))
    assert.strictEqual(codeOf({ database: "sqlite:./sealog.db", dev: true, workers: "1" }), 1)
    for (const workers of ["", "0", "-1", "65", "1.5", "two"]) {
      assert.strictEqual(codeOf({ ...postgres, workers }), "WORKERS_INVALID", workers)
    }
  })

  it("is refused with --dev, and with too few connections to the database", () => {
    assert.strictEqual(codeOf({ ...postgres, workers: "2", dev: true }), "USAGE")
    assert.strictEqual(codeOf({ ...postgres, workers: "4", "database-connections": 7 }), "USAGE")
    assert.strictEqual(codeOf({ ...postgres, workers: "4", "database-connections": 8 }), 4)
  })

  it("ends with the exit code of a worker that cannot start, which has said why", async () => {
    const args = ["--workers", "2", "--database", postgres.database, "--quota", "apples=1"]
    const ran = await run(["serve", ...args, "--json"], { cwd: freshFolder() })
    assert.strictEqual(ran.code, 2, ran.stderr)
    assert.strictEqual(errorOf(ran).code, "WORKER_FAILED")
    assert.strictEqual(ran.stderr.split("apples").length, 2, ran.stderr)
  })

  it("is refused without a secret for tokens, before a worker starts", async () => {
    const args = ["--workers", "2", "--database", postgres.database]
    const ran = await run(["serve", ...args, "--json"], { cwd: freshFolder(), env: { TOKEN_SECRET: undefined } })
    assert.strictEqual(ran.code, 2, ran.stderr)
    assert.strictEqual(errorOf(ran).code, "NO_TOKEN_SECRET")
  })

  it("is no worker by a variable alone", () => {
    assert.isUndefined(workerOf({}))
    assert.strictEqual(workerOf({ SEALOG_WORKER: "1/2" }) !== undefined, process.send !== undefined)
  })
})
