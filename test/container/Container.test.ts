/**
 * The image of deploy/container: built from this clone by buildah, and run by runc. The base of the build is a Debian that debootstrap
 * makes, because this needs no registry of images. It takes two minutes of a core, root, Debian's mirror and npm's registry.
 */
import { type ChildProcess, spawn, spawnSync } from "node:child_process"
import {
  chownSync,
  copyFileSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync
} from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { Effect } from "effect"
import { afterAll, assert, beforeAll, describe, it, vi } from "vitest"
import { freePort } from "../support/network/freePort.ts"
import { connectClient } from "../support/secsync/SecsyncClient.ts"
import { mintToken } from "../support/servers/ServerProcess.ts"
import { randomName, TOKEN_SECRET } from "../support/servers/TestServer.ts"
import { until } from "../support/until.ts"
import { PATH } from "../system/Binary.ts"

vi.setConfig({ testTimeout: 300_000, hookTimeout: 1_800_000 })

const root = join(import.meta.dirname, "../..")
const folder = mkdtempSync(join(tmpdir(), "sealog-container-"))
const output = (program: string, ...args: ReadonlyArray<string>): string => {
  const env = { ...process.env, PATH }
  const { error, status, stderr, stdout } = spawnSync(program, args, {
    ...{ encoding: "utf8", cwd: root, env, maxBuffer: 2 ** 26, stdio: ["ignore", "pipe", "pipe"] }
  })
  if (error === undefined && status === 0) return stdout
  const last = (text: string | null) => (text ?? "").trim().split("\n").slice(-20).join("\n")
  const needs = NEEDS[program] === undefined ? "" : ` It needs ${NEEDS[program]}.`
  throw new Error(
    `${program} ${args[0]} ended with ${error?.message ?? status}.${needs}\n${last(stdout)}\n${last(stderr)}`
  )
}
/** The rights and the network of each program. A machine that lacks one of them fails here. */
const NEEDS: Readonly<Record<string, string>> = {
  debootstrap: "root, the right to make devices, to mount and to chroot, and Debian's mirror (deb.debian.org)",
  buildah: "root, the rights to mount and to chroot, and npm's registry for the build of the image",
  runc: "root, and the rights to mount, to make namespaces and to write to the cgroup file system"
}
const buildah = (...args: ReadonlyArray<string>): string =>
  output("buildah", "--root", join(folder, "images"), "--runroot", join(folder, "run"), ...args).trim()

const USER = 10_001
const BASE_IMAGE = "localhost/sealog-build-base"
const BUNDLE = join(folder, "bundle")
const CONTAINER = `sealog-${randomName()}`
const ROOTS_OF_TLS = "/etc/ssl/certs/ca-certificates.crt"

/** A Debian with Node, npm and `strip`, which trusts the same certificates as this machine. */
const makeBase = (): string => {
  const base = join(folder, "base")
  output("debootstrap", "--variant=minbase", "--include=binutils,ca-certificates,libatomic1", "bookworm", base)
  const local = join(base, "usr/local")
  copyFileSync(realpathSync(process.execPath), join(local, "bin/node"))
  const npm = dirname(dirname(realpathSync(output("sh", "-c", "command -v npm").trim())))
  cpSync(npm, join(local, "lib/node_modules/npm"), { recursive: true })
  for (const name of ["npm", "npx"]) symlinkSync(`../lib/node_modules/npm/bin/${name}-cli.js`, join(local, "bin", name))
  copyFileSync(ROOTS_OF_TLS, join(base, ROOTS_OF_TLS))
  writeFileSync(join(base, "root/.npmrc"), `cafile=${ROOTS_OF_TLS}\n`)
  return base
}

let mounted = ""
beforeAll(() => {
  const base = buildah("from", "scratch")
  buildah("add", "--quiet", base, makeBase(), "/")
  buildah("config", "--env", `NODE_EXTRA_CA_CERTS=${ROOTS_OF_TLS}`, base)
  buildah("commit", "--quiet", "--rm", base, BASE_IMAGE)
  // The clone without what is not committed, as a reader has it.
  const clone = join(folder, "clone")
  output("git", "clone", "--quiet", root, clone)
  const file = join(clone, "deploy/container/Dockerfile")
  const args = ["--isolation", "chroot", "--format", "docker", "--build-arg", `BUILD_BASE=${BASE_IMAGE}`]
  buildah("build-using-dockerfile", ...args, "--file", file, "--tag", "sealog", clone)
  mounted = buildah("mount", buildah("from", "sealog"))
})
afterAll(() => {
  buildah("rm", "--all")
  rmSync(folder, { recursive: true, force: true })
})

/** Runs the image's server: as its user, without a right, on a file system that is read-only but for /data and /tmp. */
const serve = (port: number): { readonly child: ChildProcess; readonly output: () => string } => {
  mkdirSync(join(BUNDLE, "data"), { recursive: true })
  chownSync(join(BUNDLE, "data"), USER, USER)
  output("runc", "spec", "--bundle", BUNDLE)
  const path = join(BUNDLE, "config.json")
  const spec = JSON.parse(readFileSync(path, "utf8"))
  const { config } = JSON.parse(buildah("inspect", "--type", "image", "sealog")).Docker
  spec.root = { path: mounted, readonly: true }
  const env = [...config.Env, `TOKEN_SECRET=${TOKEN_SECRET}`, `SEALOG_PORT=${port}`]
  Object.assign(spec.process, {
    ...{ terminal: false, user: { uid: USER, gid: USER }, cwd: config.WorkingDir, noNewPrivileges: true, env },
    ...{ args: [...config.Entrypoint, ...config.Cmd], capabilities: {} }
  })
  // The host's network, so that clients of this process reach the port.
  spec.linux.namespaces = spec.linux.namespaces.filter(({ type }: { readonly type: string }) => type !== "network")
  spec.mounts.push(
    { destination: "/data", type: "bind", source: join(BUNDLE, "data"), options: ["rbind", "rw"] },
    { destination: "/tmp", type: "tmpfs", source: "tmpfs", options: ["nosuid", "nodev", "mode=1777"] }
  )
  writeFileSync(path, JSON.stringify(spec))
  const child = spawn("runc", ["run", "--bundle", BUNDLE, CONTAINER], {
    env: { ...process.env, PATH },
    stdio: ["ignore", "pipe", "pipe"]
  })
  let text = ""
  const add = (data: Buffer) => {
    text += data
  }
  child.stdout.on("data", add)
  child.stderr.on("data", add)
  return { child, output: () => text }
}

describe("the image", () => {
  it("has less than 200 MB, a user of its own, and no shell", () => {
    const [image] = JSON.parse(buildah("images", "--json", "sealog"))
    assert.match(image.size, /^1?\d?\d(\.\d+)? MB$/)
    const { config } = JSON.parse(buildah("inspect", "--type", "image", "sealog")).Docker
    assert.strictEqual(config.User, `${USER}:${USER}`)
    assert.isNotEmpty(config.Healthcheck.Test)
    assert.deepStrictEqual(
      output("find", mounted, "-name", "sh", "-o", "-name", "bash", "-o", "-name", "busybox", "-o", "-name", "npm"),
      ""
    )
  })

  it("serves a real client on a read-only file system, is healthy, and ends with 0 on SIGTERM", () =>
    Effect.gen(function* () {
      const port = yield* Effect.promise(freePort)
      const server = serve(port)
      const ended = new Promise<number | null>((resolve) => void server.child.on("close", resolve))
      yield* until("it listens", () => server.output().includes("Listening on"), server.output)
      const token = yield* mintToken("notes")
      const client = yield* connectClient({ url: `ws://127.0.0.1:${port}`, documentId: randomName(), token })
      client.write("from a container")
      yield* client.until("it is stored", () => client.isSettled() && client.list().length === 1)
      const { config } = JSON.parse(buildah("inspect", "--type", "image", "sealog")).Docker
      output("runc", "exec", CONTAINER, ...config.Healthcheck.Test.slice(1))
      output("runc", "kill", CONTAINER, "TERM")
      assert.strictEqual(yield* Effect.promise(() => ended), 0, server.output())
    }).pipe(Effect.scoped, Effect.runPromise))
})
