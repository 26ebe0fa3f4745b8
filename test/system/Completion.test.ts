/** Completion in a real zsh and a real fish. The tests of the CLI cover bash. */
import { execFile, spawnSync } from "node:child_process"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { promisify } from "node:util"
import { afterAll, assert, describe, it } from "vitest"

const syncAdmin = join(import.meta.dirname, "../../packages/cli/bin/sync-admin.js")
const home = mkdtempSync(join(tmpdir(), "sealog-zsh-"))
const env = { ...process.env, HOME: home, XDG_CACHE_HOME: join(home, ".cache"), TERM: "dumb" }
afterAll(() => rmSync(home, { recursive: true }))

/** A script that runs zsh at a terminal, types a text, and presses the tabulator. */
const TYPE = `
zmodload zsh/zpty
zpty shell zsh -f -i
zpty -w shell "fpath=($1 \\$fpath); autoload -Uz compinit; compinit -u -D; print rea''dy"
zpty -r -m shell seen "*ready*"
zpty -w -n shell "$2"$'\\t'
zpty -r -m shell seen "*$3*"
print -r -- "$seen"
`

describe("shell completion", () => {
  it("zsh completes commands with their descriptions", async () => {
    const made = spawnSync(process.execPath, [syncAdmin, "autocomplete", "zsh"], { env, cwd: home })
    assert.strictEqual(made.status, 0, made.stderr.toString())
    const script = join(home, "type.zsh")
    writeFileSync(script, TYPE)
    const functions = join(home, ".cache/sync-admin/autocomplete/functions/zsh")
    const { stdout } = await promisify(execFile)("zsh", ["-f", script, functions, "sync-admin library ", "show"], {
      env
    })
    assert.include(stdout, "List the libraries.")
  })
  it("fish completes commands, flags and values", () => {
    const made = spawnSync(process.execPath, [syncAdmin, "completion", "fish"], { env, cwd: home })
    assert.strictEqual(made.status, 0, made.stderr.toString())
    const script = join(home, "sync-admin.fish")
    writeFileSync(script, made.stdout)
    const completed = (typed: string) => {
      const { stderr, stdout } = spawnSync("fish", ["--no-config", "-c", `source ${script}; complete -C '${typed}'`], {
        env,
        encoding: "utf8"
      })
      assert.strictEqual(stderr, "")
      return stdout
    }
    assert.match(completed("sync-admin lib"), /^library\tList libraries, show one, or set its quota\.$/m)
    assert.match(completed("sync-admin library "), /^show\tShow one library/m)
    assert.notMatch(completed("sync-admin library "), /^serve/m)
    assert.match(completed("sync-admin library show --data"), /^--database\t/m)
    assert.match(completed("sync-admin serve --port 1 --log-level "), /^warning/m)
    assert.match(completed("sync-admin token keys "), /^jwks\t/m)
  })
})
