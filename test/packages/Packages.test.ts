/** The packages as npm installs them: in an empty project, from their tarballs, on each Node that they support. */
import { cpSync, existsSync, globSync, readFileSync } from "node:fs"
import { dirname, join } from "node:path"
import { afterAll, assert, beforeAll, describe, it, vi } from "vitest"
import { freePort } from "../support/network/freePort.ts"
import {
  copiesOf,
  freshFolder,
  makeApp,
  nodeFolder,
  packAll,
  packageManager,
  type Running,
  readiness,
  root,
  run,
  start,
  writeFiles
} from "./support.ts"

// npm downloads packages and two versions of Node.
vi.setConfig({ testTimeout: 600_000, hookTimeout: 600_000 })

const running: Array<Running> = []
afterAll(() => Promise.all(running.map(({ stop }) => stop())))

const catalogue = readFileSync(join(root, "pnpm-workspace.yaml"), "utf8")
/** The range of a peer that the packages name. */
const rangeOf = (name: string): string => {
  const [, range = ""] = new RegExp(`peers:[^]*?"?${name}"?: (\\S+)`).exec(catalogue) ?? []
  return `${name}@${range}`
}

const EXAMPLES = ["embed-sqlite.ts", "embed-postgres.ts"]

let tarballs: ReadonlyArray<string> = []
let app = ""
beforeAll(async () => {
  tarballs = await packAll()
  const peers = ["effect", "@effect/platform-node"].map(rangeOf)
  app = await makeApp([...tarballs, ...peers, "typescript", "@types/node"])
  const texts = EXAMPLES.map((name) => [`src/${name}`, readFileSync(join(root, "examples", name), "utf8")])
  writeFiles(app, Object.fromEntries(texts))
})

describe("a tarball", () => {
  it("holds what a package needs, and nothing of the build's own", async () => {
    assert.strictEqual(tarballs.length, 4)
    for (const tarball of tarballs) {
      const folder = await unpack(tarball)
      const files = globSync("**/*", { cwd: folder })
      assert.includeMembers(files, ["README.md", "LICENSE", "CHANGELOG.md"], tarball)
      assert.deepStrictEqual(globSync(["**/*.tsbuildinfo", "**/test"], { cwd: folder }), [])
      const manifest = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"))
      for (const field of ["repository", "keywords", "homepage", "bugs", "license", "engines", "description"]) {
        assert.property(manifest, field, tarball)
      }
      assert.deepStrictEqual(manifest.publishConfig, { access: "public" })
      // These come from the app, so that both use one copy.
      for (const peer of ["effect", "@effect/platform-node"]) assert.notProperty(manifest.dependencies, peer)
      for (const map of globSync("**/*.map", { cwd: folder })) {
        for (const source of JSON.parse(readFileSync(join(folder, map), "utf8")).sources) {
          assert.isTrue(existsSync(join(folder, dirname(map), source)), map)
        }
      }
      for (const file of globSync("**/*.{js,d.ts}", { cwd: folder })) {
        const [, map] = /\n\/\/# sourceMappingURL=(\S+)\s*$/.exec(readFileSync(join(folder, file), "utf8")) ?? []
        if (map !== undefined) assert.isTrue(existsSync(join(folder, dirname(file), map)), file)
      }
    }
  })
})

const unpack = async (tarball: string): Promise<string> => {
  const folder = freshFolder()
  await run(["tar", "xzf", tarball, "--directory", folder, "--strip-components", "1"], { cwd: folder })
  return folder
}

describe("an app with the packages", () => {
  it("has one copy of each, and of effect", async () => {
    for (const name of ["effect", "@effect/platform-node", "@sealog/server", "sodium-native"]) {
      assert.strictEqual((await copiesOf(name, app)).length, 1, name)
    }
  })

  it("checks its types with both ways of resolution", async () => {
    const { exports } = JSON.parse(readFileSync(join(root, "packages/server/package.json"), "utf8"))
    const entries = Object.keys(exports).filter((entry) => !/\*|testing/.test(entry))
    const imports = [
      ...entries.map((entry) => join("@sealog/server", entry)),
      "@sealog/storage-pg",
      "@sealog/storage-sqlite"
    ]
    writeFiles(app, { "src/entries.ts": imports.map((name, i) => `export * as e${i} from "${name}"\n`).join("") })
    const common = ["--noEmit", "--strict", "--exactOptionalPropertyTypes", "--target", "es2024", "--types", "node"]
    for (const [module, resolution] of [
      ["nodenext", "nodenext"],
      ["preserve", "bundler"]
    ] as const) {
      await run(
        [
          ...["npx", "--no-install", "tsc", ...common, "--module", module, "--moduleResolution", resolution],
          ...["src/entries.ts", ...EXAMPLES.map((name) => `src/${name}`)]
        ],
        { cwd: app }
      )
    }
  })

  const newest = JSON.parse(readFileSync(join(root, "package.json"), "utf8")).devDependencies.node
  for (const version of ["22.19.0", "24", newest]) {
    it(`runs on Node ${version}: the command line, an embedded server, and the SQLite driver`, async () => {
      const node = await nodeFolder(version)
      const cwd = await copyOf(app)
      const found = await run(["node", "--version"], { cwd, node })
      assert.isTrue(found.startsWith(`v${version}`), found)

      const dev = ["npx", "--no-install", "sync-admin", "serve", "--dev", "--port", "0"]
      const served = start(dev, { cwd, node })
      running.push(served)
      const [, devPort = ""] = await served.written(/ws:\/\/localhost:(\d+)/)
      assert.strictEqual(await readiness(devPort, served), 200)
      assert.include(await (await fetch(`http://localhost:${devPort}/`)).text(), "<title>Sealog</title>")
      await run(["npx", "--no-install", "sync-admin", "document", "create", "notes", "welcome", "--new-library"], {
        cwd,
        node
      })
      const listed = await run(["npx", "--no-install", "sync-admin", "library", "list", "--json"], { cwd, node })
      assert.deepInclude(JSON.parse(listed).libraries[0], { libraryId: "notes", streams: 1 })
      await served.stop()

      const port = String(await freePort())
      const example = start(["node", "src/embed-sqlite.ts"], { cwd, node, env: { PORT: port } })
      running.push(example)
      assert.strictEqual(await readiness(port, example), 200)
      await example.stop()
    })
  }
})

/** A clean checkout has no file that git does not know. */
const checkout = async (): Promise<string> => {
  const folder = await makeApp([])
  const files = (await run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], { cwd: root }))
    .split("\0")
    .filter((file) => file !== "" && existsSync(join(root, file)))
  for (const file of files) cpSync(join(root, file), join(folder, file))
  return folder
}

describe("a clone, on a machine with Node 20", () => {
  it("starts without warnings, and prints its URL first", async () => {
    const [cwd, node] = await Promise.all([checkout(), nodeFolder("20")])
    const started = start(["npx", "-y", packageManager, "start", "--port", "0"], { cwd, node })
    running.push(started)
    await started.written(/ws:\/\//)
    const before = started.output().split(/ws:\/\//)[0] ?? ""
    assert.notMatch(before, /warn/i)
    assert.isAtMost(before.split("\n").length, 11, before)
    await started.stop()
  })
})

const copyOf = async (folder: string): Promise<string> => {
  const copy = await makeApp([])
  cpSync(folder, copy, { recursive: true, verbatimSymlinks: true })
  return copy
}
