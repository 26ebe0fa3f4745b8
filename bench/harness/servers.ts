/** Starts the servers under test, each in a process of its own on a fresh database. */
import { spawn } from "node:child_process"
import { createHmac } from "node:crypto"
import { once } from "node:events"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { installPeers, PEER_NODE } from "./peers.ts"
import { createDatabase, dropDatabase } from "./postgres.ts"
import { cpuSeconds, peakRssBytes, rssBytes } from "./processes.ts"

export type Storage = "sqlite" | "postgres"
export type ServerName =
  | "sealog"
  | "sealog, not verifying"
  | "secsync-server"
  | "secsync-server, bare SQL"
  | Rung
  | "hocuspocus"
  | "y-websocket"
  | "verdant"

/** Servers with one part of the work of a sync server more than the one before. */
export type Rung = "ws" | "ws, insert" | "ws, insert, verify"

/** Servers that npm installs for the bench. */
const PEERS: ReadonlySet<ServerName> = new Set([
  "secsync-server",
  "secsync-server, bare SQL",
  "hocuspocus",
  "y-websocket",
  "verdant"
])

const USES_BETTER_SQLITE: ReadonlySet<ServerName> = new Set(["hocuspocus", "verdant"])

export interface BenchServer {
  readonly name: ServerName
  readonly url: string
  readonly pid: number
  /** The URL for `--database`. */
  readonly database: string
  readonly cpuSeconds: () => number
  readonly rssBytes: () => number
  readonly peakRssBytes: () => number
  /** The longest block of the event loop since the last call, in milliseconds. NaN for servers of others. */
  readonly longestBlock: () => Promise<number>
  /** Ends the process; the database stays until `remove`. */
  readonly stop: () => Promise<void>
  readonly remove: () => Promise<void>
}

const SECRET = "a-secret-that-only-the-bench-has-and-forgets"
export const LIBRARY = "bench"

const encode = (value: object) => Buffer.from(JSON.stringify(value)).toString("base64url")

/** Makes a token for a user that reaches the bench's library and all of its documents. */
export const tokenFor = (userId: string): string => {
  const claims = { sub: userId, lib: LIBRARY, type: 0, exp: Math.floor(Date.now() / 1000) + 86_400 }
  const unsigned = `${encode({ alg: "HS256", typ: "JWT" })}.${encode(claims)}`
  return `${unsigned}.${createHmac("sha256", SECRET).update(unsigned).digest("base64url")}`
}

export const token = tokenFor("bench")

let build = "."

/** Runs servers and commands from now on from the build in a folder. */
export const useBuild = (folder: string): void => {
  build = folder
}

export const cli = (...args: ReadonlyArray<string>): ReadonlyArray<string> => [
  join(build, "packages/cli/bin/sync-admin.js"),
  ...args
]

const BLOCKS = new URL("./blocks.ts", import.meta.url).href
const UNLIMITED = ["--trusted-proxy", "127.0.0.1"]

const commandOf = (name: ServerName, database: string): ReadonlyArray<string> => {
  switch (name) {
    case "sealog":
      // All clients have one address. A trusted proxy's is not limited.
      return cli(...["serve", "--port", "0", "--host", "127.0.0.1", "--database", database, "--migrate"], ...UNLIMITED)
    case "sealog, not verifying":
      return ["bench/harness/notVerifying.ts", database]
    case "secsync-server":
      return [`bench/peers/${database.startsWith("sqlite:") ? "secsync.ts" : "secsyncPrisma.mjs"}`, database]
    case "secsync-server, bare SQL":
      return ["bench/peers/secsync.ts", database]
    case "ws":
    case "ws, insert":
    case "ws, insert, verify":
      return ["bench/harness/rung.ts", database, name]
    case "hocuspocus":
      return ["bench/peers/hocuspocus.mjs", database]
    case "y-websocket":
      return ["bench/peers/yWebsocket.mjs"]
    case "verdant":
      return ["bench/peers/verdant.mjs", database]
  }
}

/** Makes a fresh database. Returns its URL, and a function that removes it. */
export const freshDatabase = async (storage: Storage): Promise<{ url: string; remove: () => Promise<void> }> => {
  if (storage === "postgres") {
    const url = await createDatabase()
    return { url, remove: () => dropDatabase(url) }
  }
  const folder = mkdtempSync(join(tmpdir(), "sealog-bench-"))
  return { url: `sqlite:${join(folder, "log.db")}`, remove: async () => rmSync(folder, { recursive: true }) }
}

/** Starts a server on a fresh database, or on the given one, which `remove` then leaves alone. */
export const startServer = async (
  name: ServerName,
  on: { readonly storage: Storage } | { readonly database: string }
): Promise<BenchServer> => {
  if (PEERS.has(name)) installPeers()
  const database = "database" in on ? { url: on.database, remove: async () => {} } : await freshDatabase(on.storage)
  // For profiles: BENCH_NODE_FLAGS="--cpu-prof --cpu-prof-dir=/tmp/profiles".
  const flags = process.env["BENCH_NODE_FLAGS"]?.split(" ") ?? []
  const isOurs = name.startsWith("sealog")
  const observed = isOurs ? ["--import", BLOCKS] : []
  const node = USES_BETTER_SQLITE.has(name) ? PEER_NODE : process.execPath
  const child = spawn(node, [...flags, ...observed, ...commandOf(name, database.url)], {
    env: { ...process.env, TOKEN_SECRET: SECRET },
    stdio: ["ignore", "pipe", "inherit", isOurs ? "ipc" : "ignore"]
  })
  const ended = new Promise<void>((resolve) => child.once("exit", () => resolve()))
  const pid = child.pid ?? 0
  const url = await new Promise<string>((resolve, reject) => {
    child.stdout?.on("data", (data) => {
      const found = /ws:\/\/\S+:\d+/.exec(data.toString())?.[0]
      if (found !== undefined) resolve(found.replace("localhost", "127.0.0.1"))
    })
    child.once("exit", (code, signal) => reject(new Error(`${name} ended with ${code ?? signal}`)))
  })
  const stop = () => {
    child.kill("SIGTERM")
    return ended
  }
  return {
    name,
    url,
    pid,
    database: database.url,
    cpuSeconds: () => cpuSeconds(pid),
    rssBytes: () => rssBytes(pid),
    peakRssBytes: () => peakRssBytes(pid),
    longestBlock: async () => {
      if (!isOurs) return Number.NaN
      child.send("block")
      const [milliseconds] = await once(child, "message")
      return milliseconds
    },
    stop,
    remove: async () => {
      await stop()
      await database.remove()
    }
  }
}
