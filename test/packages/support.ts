/** An app outside of the workspace, which has the packages from their tarballs, and several versions of Node. */
import { execFile, spawn } from "node:child_process"
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, realpathSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { delimiter, dirname, join } from "node:path"
import { promisify } from "node:util"
import { Effect } from "effect"
import { until } from "../support/until.ts"

export const root = join(import.meta.dirname, "../..")
export const { packageManager } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"))

/** Runs a program with a Node of the given folder. Throws with its output if it fails. */
export const run = async (
  [program = "", ...args]: ReadonlyArray<string>,
  { cwd, node = dirname(realpathSync(process.execPath)) }: { readonly cwd: string; readonly node?: string }
): Promise<string> => {
  try {
    const env = cleanEnv(node)
    const { stdout } = await promisify(execFile)(program, args, { cwd, env, maxBuffer: 2 ** 26 })
    return stdout
  } catch (error) {
    const { stderr, stdout } = error as { readonly stderr?: string; readonly stdout?: string }
    throw new Error(`${[program, ...args].join(" ")}: ${error}\n${stdout}\n${stderr}`)
  }
}

/**
 * The environment without the settings that pnpm and Vitest give their scripts: npm and pnpm would obey them. Where `CI` is set,
 * some programs write in colour unless they are asked not to.
 */
const cleanEnv = (node: string): NodeJS.ProcessEnv => ({
  ...Object.fromEntries(Object.entries(process.env).filter(([name]) => !SCRIPT_SETTINGS.test(name))),
  PATH: `${node}${delimiter}${process.env["PATH"]}`,
  ...PATIENCE,
  NO_COLOR: "1",
  TOKEN_SECRET: "a-secret-for-tests-alone-of-32-bytes-at-least"
})

/** npm waits five minutes for a connection that stalls, unless it is told otherwise. It shall ask again soon, and more often. */
const PATIENCE = {
  npm_config_fetch_retries: "5",
  npm_config_fetch_retry_mintimeout: "1000",
  npm_config_fetch_timeout: "20000"
}

const SCRIPT_SETTINGS = /^(npm_(?!config_registry)|pnpm_|node_(env|options|path)$|vitest|force_color$)/i

export const freshFolder = (): string => mkdtempSync(join(tmpdir(), "sealog-packages-"))

/** Packs every package of the workspace. Returns the paths of the tarballs. */
export const packAll = async (): Promise<ReadonlyArray<string>> => {
  const folder = freshFolder()
  await run(
    [
      "npx",
      "-y",
      packageManager,
      "-r",
      "--filter",
      "./packages/*",
      "--filter",
      "!@sealog/pages",
      "pack",
      "--pack-destination",
      folder
    ],
    {
      cwd: root
    }
  )
  return readdirSync(folder).map((name) => join(folder, name))
}

/** For a shell: npm gives up when a connection stalls in the middle of a package. A second try goes on from its cache. */
export const NPM_TWICE = 'npm() { command npm "$@" || command npm "$@"; }\n'

/** Makes an empty project, in which npm installs the packages. */
export const makeApp = async (packages: ReadonlyArray<string>): Promise<string> => {
  const app = freshFolder()
  writeFileSync(join(app, "package.json"), JSON.stringify({ name: "app", private: true, type: "module" }))
  await run(["sh", "-ec", `${NPM_TWICE}npm install --no-audit --no-fund "$@"`, "sh", ...packages], { cwd: app })
  return app
}

/** Installs a Node from npm. Returns the folder of its binary. */
export const nodeFolder = async (version: string): Promise<string> => {
  const folder = await makeApp([`node@${version}`])
  return join(folder, "node_modules/node/bin")
}

/** The paths of all copies of a package below a folder's `node_modules`. */
export const copiesOf = async (name: string, app: string): Promise<ReadonlyArray<string>> => {
  const found = await run(["npm", "ls", name, "--all", "--parseable"], { cwd: app })
  return [...new Set(found.trim().split("\n"))]
}

export interface Running {
  /** All that it has written, to stdout and to stderr. */
  readonly output: () => string
  /** Waits until it has written a text that matches. Fails if it ends before, or if four minutes are over: `start` installs and builds. */
  readonly written: (fits: RegExp) => Promise<RegExpExecArray>
  readonly stop: () => Promise<void>
}

/** Starts a program in a process group of its own. */
export const start = (
  [program = "", ...args]: ReadonlyArray<string>,
  { cwd, env, node }: { readonly cwd: string; readonly node: string; readonly env?: Readonly<Record<string, string>> }
): Running => {
  const child = spawn(program, args, { cwd, env: { ...cleanEnv(node), ...env }, detached: true })
  let output = ""
  let look = () => {}
  const ended = new Promise<void>((done) => child.once("close", () => done()))
  for (const stream of [child.stdout, child.stderr]) {
    stream.on("data", (data) => {
      output += data
      look()
    })
  }
  return {
    output: () => output,
    written: (fits) =>
      new Promise((resolve, reject) => {
        const late = setTimeout(() => reject(new Error(`${program} has not written ${fits}: ${output}`)), 240_000)
        look = () => {
          const found = fits.exec(output)
          if (found === null) return
          clearTimeout(late)
          resolve(found)
        }
        look()
        void ended.then(() => {
          clearTimeout(late)
          reject(new Error(`${program} ended: ${output}`))
        })
      }),
    // npx and pnpm have children, which a signal to them alone would leave behind.
    stop: async () => {
      if (child.pid !== undefined && child.exitCode === null && child.signalCode === null) {
        process.kill(-child.pid, "SIGTERM")
      }
      await ended
    }
  }
}

/** Waits until a server answers, and returns the status. */
export const readiness = async (port: string, { output }: Running): Promise<number> => {
  let status = 0
  const asked = Effect.promise(async () => {
    status = await fetch(`http://localhost:${port}/readyz`).then(
      (answer) => answer.status,
      () => 0
    )
    return status > 0
  })
  await Effect.runPromise(until("the server answers", asked, output))
  return status
}

/** Writes files into a folder. */
export const writeFiles = (folder: string, files: Readonly<Record<string, string>>): void => {
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, name)), { recursive: true })
    writeFileSync(join(folder, name), text)
  }
}
