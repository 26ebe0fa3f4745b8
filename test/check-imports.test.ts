/** The check of import directions passes on this repository, and finds every kind of violation. */
import { spawnSync } from "node:child_process"
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { afterEach, assert, describe, it } from "@effect/vitest"

const root = join(import.meta.dirname, "..")
const trees: Array<string> = []

const check = (...args: ReadonlyArray<string>) => {
  const { status, stderr } = spawnSync(process.execPath, [join(root, "scripts/check-imports.ts"), ...args], {
    encoding: "utf8"
  })
  return { status, lines: stderr.split("\n").filter((line) => line !== "") }
}

const tree = (files: Readonly<Record<string, string>>): string => {
  const folder = mkdtempSync(join(tmpdir(), "check-imports-"))
  trees.push(folder)
  for (const [file, source] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, "packages", file)), { recursive: true })
    writeFileSync(join(folder, "packages", file), source)
  }
  return folder
}

afterEach(() => {
  for (const folder of trees.splice(0)) rmSync(folder, { recursive: true })
})

describe("check-imports", () => {
  it("finds nothing in this repository", () => {
    assert.deepStrictEqual(check(), { status: 0, lines: [] })
  })

  it("passes on imports that the architecture allows", () => {
    const folder = tree({
      "server/src/domain/Rule.ts":
        'import { Result, type Schema } from "effect"\nimport sodium from "libsodium-wrappers"\n',
      "server/src/ports/index.ts": 'export { EventLog } from "./EventLog.ts"\n',
      "server/src/ports/EventLog.ts":
        'import { Effect } from "effect"\nimport type { Rule } from "../domain/Rule.ts"\n',
      "server/src/rooms/Rooms.ts": 'import { EventLog } from "../ports/EventLog.ts"\n// import "../edge/Server.ts"\n',
      "server/src/edge/Server.ts": 'import { Rooms } from "../rooms/Rooms.ts"\n',
      "server/src/testing/Suite.ts": 'import { EventLog } from "../ports/EventLog.ts"\n',
      "storage-one/src/Log.ts": 'import { EventLog } from "@sealog/server/ports"\nimport "node:sqlite"\n',
      "cli/src/serve.ts": 'import { Log } from "@sealog/storage-one"\n'
    })
    assert.deepStrictEqual(check(folder), { status: 0, lines: [] })
  })

  it.each<[string, Readonly<Record<string, string>>, string]>([
    [
      "the domain knows a port",
      { "server/src/domain/A.ts": '\nimport type { E } from "../ports/EventLog.ts"' },
      "server/src/domain/A.ts:2"
    ],
    [
      "the domain runs effects",
      { "server/src/domain/A.ts": 'import {\n  Effect,\n  Result\n} from "effect"' },
      "server/src/domain/A.ts:4"
    ],
    [
      "the domain reads files",
      { "server/src/domain/A.ts": 'import { readFileSync } from "node:fs"' },
      "server/src/domain/A.ts:1"
    ],
    [
      "a port knows the rooms",
      { "server/src/ports/Access.ts": 'export { Room } from "../rooms/Room.ts"' },
      "server/src/ports/Access.ts:1"
    ],
    [
      "rooms know a protocol",
      { "server/src/rooms/Rooms.ts": 'import "../protocols/secsync/Wire.ts"' },
      "server/src/rooms/Rooms.ts:1"
    ],
    [
      "a protocol knows the edge",
      { "server/src/protocols/A.ts": 'await import("../edge/A.ts")' },
      "server/src/protocols/A.ts:1"
    ],
    [
      "the server knows a database",
      { "server/src/ports/EventLog.ts": 'import { DatabaseSync } from "node:sqlite"' },
      "server/src/ports/EventLog.ts:1"
    ],
    [
      "the server knows a storage",
      { "server/src/edge/A.ts": 'import * as S from "@sealog/storage-one"' },
      "server/src/edge/A.ts:1"
    ],
    [
      "the server needs what is for tests",
      { "server/src/index.ts": 'export * from "./testing/index.ts"' },
      "server/src/index.ts:1"
    ],
    [
      "a storage knows another",
      { "storage-one/src/A.ts": 'import { B } from "@sealog/storage-two"' },
      "storage-one/src/A.ts:1"
    ],
    [
      "a storage knows the cli",
      { "storage-one/src/A.ts": 'import { B } from "@sealog/cli"' },
      "storage-one/src/A.ts:1"
    ],
    [
      "a storage knows the edge",
      { "storage-one/src/A.ts": 'import { SyncServer } from "@sealog/server/edge/SyncServer"' },
      "storage-one/src/A.ts:1"
    ],
    [
      "a storage knows the administration",
      { "storage-one/src/A.ts": 'import { replay } from "@sealog/server/admin"' },
      "storage-one/src/A.ts:1"
    ],
    [
      "a new file lies outside every folder",
      { "server/src/Helper.ts": 'import type { Rule } from "./domain/Rule.ts"' },
      "server/src/Helper.ts:1"
    ],
    [
      "a new folder is not in the list",
      { "server/src/helpers/Helper.ts": 'import type { Rule } from "../domain/Rule.ts"' },
      "server/src/helpers/Helper.ts:1"
    ],
    [
      "files import each other in a circle",
      {
        "cli/src/a.ts": 'import "./b.ts"',
        "cli/src/b.ts": '\nimport { c } from "./c.ts"',
        "cli/src/c.ts": 'import { type B } from "./b.ts"'
      },
      "cli/src/c.ts:1"
    ]
  ])("finds that %s", (_, files, where) => {
    const { status, lines } = check(tree(files))
    assert.strictEqual(status, 1)
    assert.strictEqual(lines.length, 1, lines.join("\n"))
    assert.isTrue(lines[0]?.startsWith(`packages/${where}: `), lines[0])
  })

  it("fails on an empty folder", () => {
    assert.strictEqual(check(tree({})).status, 1)
  })
})
