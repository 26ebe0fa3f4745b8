/** Settings: flags, variables and the file, in this order; `config` shows them without secrets. */
import { writeFileSync } from "node:fs"
import { join } from "node:path"
import { assert, describe, it } from "vitest"
import Serve from "../src/commands/serve.ts"
import { settingsOf } from "../src/input/settings.ts"
import { errorOf, freshFolder, jsonOf, run, secret, serve } from "./support.ts"

const folderWith = (toml: string): string => {
  const cwd = freshFolder()
  writeFileSync(join(cwd, "sealog.toml"), toml)
  return cwd
}

interface Shown {
  readonly variable: string
  readonly value: string | null
  readonly from: string
}

const configOf = async (cwd: string, env: Record<string, string> = {}, args: ReadonlyArray<string> = []) => {
  const ran = await run(["config", "--json", ...args], { cwd, env })
  assert.strictEqual(ran.code, 0, ran.stdout)
  const settings = jsonOf("config", ran)["settings"] as ReadonlyArray<Shown>
  return new Map(settings.map(({ from, value, variable }) => [variable, [value, from]]))
}

describe("a setting", () => {
  it("has a variable of its own", () => {
    const variables = settingsOf(Serve.flags).map(({ variable }) => variable)
    assert.notInclude(variables, "")
    assert.strictEqual(new Set(variables).size, variables.length)
  })

  it("comes from the variable, then the file, then the default", async () => {
    const cwd = folderWith(`
      port = 4100
      max-frame = 3
      create-documents = false
      origin = ["https://a.example", "https://b.example"]
      [token]
      issuer = "me"`)
    const shown = await configOf(cwd, { SEALOG_MAX_FRAME: "5\r" })
    assert.deepStrictEqual(shown.get("SEALOG_MAX_FRAME"), ["5", "environment"])
    assert.deepStrictEqual(shown.get("SEALOG_PORT"), ["4100", "file"])
    assert.deepStrictEqual(shown.get("SEALOG_CREATE_DOCUMENTS"), ["false", "file"])
    assert.deepStrictEqual(shown.get("SEALOG_ORIGINS"), ["https://a.example,https://b.example", "file"])
    assert.deepStrictEqual(shown.get("TOKEN_ISSUER"), ["me", "file"])
    assert.deepStrictEqual(shown.get("SEALOG_WEBHOOKS"), ["true", "default"])
    assert.deepStrictEqual(shown.get("LOG_LEVEL"), ["info", "default"])
  })

  it("of the file holds for a server, and its flag goes first", async () => {
    const cwd = folderWith(`
      port = 1
      database = "sqlite:./elsewhere.db"
      log-format = "json"
      create-documents = false
      quota = ["objects=5"]
      token-secret-file = "./secret"`)
    writeFileSync(join(cwd, "secret"), secret)
    const env = { TOKEN_SECRET: undefined }
    const server = await serve([], { cwd, env })
    const { code, stderr, stdout } = await server.stop("SIGTERM")
    assert.strictEqual(code, 0, stderr)
    assert.include(stdout, "sqlite:./elsewhere.db")
    const [started = ""] = stderr.split("\n")
    assert.deepInclude(JSON.parse(started).annotations, { port: server.port, "log-format": "json", quota: "objects=5" })
    const minted = await run(["token", "mint", "--library", "notes", "--user", "ada"], { cwd, env })
    assert.strictEqual(minted.code, 0, minted.stderr)
    const found = await run(["token", "inspect", "--json"], { cwd, env, stdin: minted.stdout })
    assert.strictEqual(found.code, 0, found.stdout + found.stderr)
    assert.strictEqual((await run(["library", "list"], { cwd, env })).code, 0)
  })
})

describe("the file of settings", () => {
  it("may be named by a flag or a variable", async () => {
    const cwd = folderWith("port = 1")
    writeFileSync(join(cwd, "other.toml"), "port = 2")
    const args = ["--config", "other.toml"]
    assert.deepStrictEqual((await configOf(cwd, {}, args)).get("SEALOG_PORT"), ["2", "file"])
    assert.deepStrictEqual((await configOf(cwd, {}, ["--config=other.toml"])).get("SEALOG_PORT"), ["2", "file"])
    assert.deepStrictEqual((await configOf(cwd, { SEALOG_CONFIG: "other.toml" })).get("SEALOG_PORT"), ["2", "file"])
  })

  it("with a mistake is refused by every command, with the right name", async () => {
    for (const [toml, code, tryThis] of [
      ["potr = 1", "SETTINGS_INVALID", undefined],
      ["max-frmae = 1", "SETTINGS_INVALID", "max-frame"],
      [`token-secret = "${secret}"`, "SETTINGS_INVALID", "token-secret-file"],
      ["dev = true", "SETTINGS_INVALID", undefined],
      ["origin = [1]", "SETTINGS_INVALID", undefined],
      ["port = = 1", "SETTINGS_INVALID", undefined],
      ['port = "many"', "USAGE", undefined]
    ] as const) {
      const ran = await run(["serve", "--json"], { cwd: folderWith(toml) })
      assert.deepStrictEqual([ran.code, errorOf(ran).code], [2, code], toml)
      assert.notInclude(ran.stdout, secret)
      if (tryThis !== undefined) assert.strictEqual(errorOf(ran).try, tryThis)
    }
    const missing = await run(["library", "list", "--config", "none.toml", "--json"], { cwd: freshFolder() })
    assert.deepStrictEqual([missing.code, errorOf(missing).code], [2, "SETTINGS_UNREADABLE"])
  })
})

describe("config", () => {
  it("shows no password, no secret and no parameter of a URL", async () => {
    const cwd = freshFolder()
    const env = {
      DATABASE_URL: "postgres://ada:hidden@localhost/sealog?password=hidden",
      SEALOG_SIGNALS: "redis://:hidden@localhost",
      TOKEN_JWKS: "https://login.example.org/keys?key=hidden",
      TOKEN_SECRET: "hidden".repeat(8),
      LINK_SECRET: "hidden".repeat(8),
      SEALOG_METRICS_TOKEN: "hidden".repeat(8),
      S3_SECRET_ACCESS_KEY: "hidden",
      PGPASSWORD: "hidden"
    }
    const told = await run(["config"], { cwd, env })
    assert.match(told.stdout, /^checkpoints +not set +default +SEALOG_CHECKPOINTS$/m)
    assert.match(told.stdout, /^– +not set +default +S3_ACCESS_KEY_ID$/m)
    assert.strictEqual(told.code, 0)
    assert.include(told.stdout, "postgres://ada@localhost/sealog")
    const { stdout } = await run(["config", "--json"], { cwd, env })
    // The word that stands for a secret is in parentheses.
    assert.notMatch((told.stdout + stdout).replaceAll("(hidden)", ""), /hidden/)
    const shown = await configOf(cwd, env)
    for (const name of ["TOKEN_SECRET", "LINK_SECRET", "SEALOG_METRICS_TOKEN", "PGPASSWORD"]) {
      assert.deepStrictEqual(shown.get(name), ["(hidden)", "environment"])
    }
  })
})

describe("a setting in MiB", () => {
  it("says so in the help, in its default and in its value", async () => {
    const cwd = freshFolder()
    const { stdout: help } = await run(["serve", "--help"], { cwd })
    assert.match(help, /--max-frame=<MiB>[\s\S]*?default:\s+32\s+MiB\)/)
    assert.match(help, /--message-memory=<MiB>[\s\S]*?at\s+most\s+256\s+MiB\)/)
    const byDefault = (await run(["config"], { cwd })).stdout
    assert.match(byDefault, /^max-frame +32 MiB +default/m)
    assert.match(byDefault, /^message-memory +a quarter of the heap, at most 256 MiB +default/m)
    const given = (await run(["config"], { cwd, env: { SEALOG_MAX_FRAME: "5", SEALOG_MESSAGE_MEMORY: "64" } })).stdout
    assert.match(given, /^max-frame +5 MiB +variable/m)
    assert.match(given, /^message-memory +64 MiB +variable/m)
  })
})

describe("a mistyped flag", () => {
  it("is answered with the nearest one", async () => {
    const ran = await run(["library", "list", "--databse", "sqlite:a.db", "--json"], { cwd: freshFolder() })
    assert.deepStrictEqual([ran.code, errorOf(ran).code, errorOf(ran).try], [2, "USAGE", "--database"])
  })
})
