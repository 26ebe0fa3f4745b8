/**
 * Updates per second and how long an acknowledgement takes, ours beside `secsync-server`, in turns on one machine.
 *
 *   pnpm bench [--rounds 5] [--seconds 4]
 */
import { type ChildProcess, execFileSync, spawn } from "node:child_process"
import { createHmac } from "node:crypto"
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { cpus, tmpdir } from "node:os"
import { join } from "node:path"
import { parseArgs } from "node:util"
import { makeDecoder } from "@sealog/server/protocols/secsync/Wire"
import { verifySignature } from "@sealog/server/Signatures"
import { makeAuthor, updateMessage } from "@sealog/server/testing"
import type { Load, Loaded } from "./load.ts"

const { values } = parseArgs({
  options: { rounds: { type: "string", default: "5" }, seconds: { type: "string", default: "4" } }
})
const rounds = Number(values.rounds)
const seconds = Number(values.seconds)
const READERS = 2

const SECRET = "a-secret-that-only-the-bench-has-and-forgets"
const encode = (value: object) => Buffer.from(JSON.stringify(value)).toString("base64url")
const unsigned = `${encode({ alg: "HS256" })}.${encode({ sub: "bench", lib: "bench", type: 0, exp: Date.now() / 1000 + 86_400 })}`
const token = `${unsigned}.${createHmac("sha256", SECRET).update(unsigned).digest("base64url")}`

// ------------------------------------------------------------------------------------------------------- the servers

type Name = "sealog" | "secsync-server"

const command = (name: Name, folder: string): ReadonlyArray<string> =>
  name === "sealog"
    ? [
        "packages/cli/bin/sync-admin.js",
        "serve",
        "--port",
        "0",
        "--host",
        "127.0.0.1",
        "--database",
        `sqlite:${folder}/log.db`
      ]
    : ["bench/reference.ts", join(folder, "log.db")]

const startServer = (name: Name, folder: string): Promise<{ readonly child: ChildProcess; readonly url: string }> =>
  new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [...command(name, folder)], {
      env: { ...process.env, TOKEN_SECRET: SECRET },
      stdio: ["ignore", "pipe", "inherit"]
    })
    child.stdout.on("data", (data) => {
      const url = /ws:\/\/\S+:\d+/.exec(data.toString())?.[0]
      if (url !== undefined) resolve({ child, url })
    })
    child.once("exit", (code) => reject(new Error(`${name} ended with ${code}`)))
  })

/** Processor seconds a process has used; undefined where /proc does not tell. */
const cpuSeconds = (pid: number | undefined): number | undefined => {
  try {
    const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1]?.split(" ") ?? []
    return (Number(fields[11]) + Number(fields[12])) / 100
  } catch {
    return undefined
  }
}

interface Measured extends Loaded {
  readonly cpuMicrosPerUpdate: number | undefined
}

const measure = async (name: Name, load: Pick<Load, "documents" | "inFlight">): Promise<Measured> => {
  const folder = mkdtempSync(join(tmpdir(), "sealog-bench-"))
  const { child, url } = await startServer(name, folder)
  const before = cpuSeconds(child.pid)
  const argument: Load = { ...load, url, token, readers: READERS, seconds }
  const output = execFileSync(process.execPath, ["bench/load.ts", JSON.stringify(argument)], { encoding: "utf8" })
  const loaded: Loaded = JSON.parse(output)
  const after = cpuSeconds(child.pid)
  const ended = new Promise((resolve) => child.removeAllListeners("exit").once("exit", resolve))
  child.kill("SIGTERM")
  await ended
  rmSync(folder, { recursive: true })
  const used = before === undefined || after === undefined ? undefined : after - before
  return { ...loaded, cpuMicrosPerUpdate: used === undefined ? undefined : (used * 1e6) / loaded.saved }
}

// ------------------------------------------------------------------------------------------------------- the figures

const median = (numbers: ReadonlyArray<number>): number => {
  const sorted = numbers.toSorted((a, b) => a - b)
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN
}

const summarise = (measured: ReadonlyArray<Measured>) => ({
  updatesPerSecond: median(measured.map(({ saved, seconds }) => saved / seconds)),
  ackP50: median(measured.map(({ ackP50 }) => ackP50)),
  ackP99: median(measured.map(({ ackP99 }) => ackP99)),
  cpuMicrosPerUpdate: median(measured.map(({ cpuMicrosPerUpdate }) => cpuMicrosPerUpdate ?? Number.NaN)),
  failed: measured.reduce((sum, { failed }) => sum + failed, 0),
  /** Of what the readers should have got. */
  delivered:
    measured.reduce((sum, { delivered }) => sum + delivered, 0) /
    measured.reduce((sum, { saved }) => sum + saved * READERS, 0)
})

/** The floor: signatures of update size that one core verifies. */
const verifiedPerSecond = (): number => {
  const author = makeAuthor()
  const message = makeDecoder()(
    JSON.stringify(updateMessage(author, { docId: "floor", refSnapshotId: "floor", clock: 0, ciphertext: 100 }))
  )
  if (message._tag !== "Update") throw new Error(message._tag)
  const start = performance.now()
  let count = 0
  while (performance.now() - start < 1000) {
    if (!verifySignature(message.signed)) throw new Error("the signature is not valid")
    count += 1
  }
  return (count * 1000) / (performance.now() - start)
}

interface Row {
  readonly server: Name
  readonly documents: number
  readonly inFlight: number
}

const rows: ReadonlyArray<Row> = [1, 10, 50].flatMap(
  (documents): ReadonlyArray<Row> => [
    { server: "sealog", documents, inFlight: 1 },
    { server: "secsync-server", documents, inFlight: 1 },
    // The peer handles a connection's frames all at once, and refuses what overtakes another: it has no such row.
    { server: "sealog", documents, inFlight: 16 }
  ]
)

const measured = new Map<Row, Array<Measured>>(rows.map((row) => [row, []]))
const floor: Array<number> = []
for (let round = 1; round <= rounds; round++) {
  floor.push(verifiedPerSecond())
  for (const row of rows) {
    process.stderr.write(
      `round ${round} of ${rounds}: ${row.server}, ${row.documents} documents, ${row.inFlight} in flight\n`
    )
    measured.get(row)?.push(await measure(row.server, row))
  }
}

const results = rows.map((row) => ({ ...row, ...summarise(measured.get(row) ?? []) }))
const peerOf = ({ documents }: Row) =>
  results.find((result) => result.server === "secsync-server" && result.documents === documents)

console.log(`| documents | in flight | server | updates/s | × peer | ack p50 ms | ack p99 ms | CPU µs/update | failed | delivered |
| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |`)
for (const result of results) {
  const ratio = result.updatesPerSecond / (peerOf(result)?.updatesPerSecond ?? Number.NaN)
  console.log(
    `| ${[
      result.documents,
      result.inFlight,
      result.server,
      Math.round(result.updatesPerSecond),
      ratio.toFixed(2),
      result.ackP50.toFixed(2),
      result.ackP99.toFixed(2),
      Math.round(result.cpuMicrosPerUpdate),
      result.failed,
      `${(result.delivered * 100).toFixed(1)} %`
    ].join(" | ")} |`
  )
}
console.log(`\nOne core verifies ${Math.round(median(floor))} signatures of this size a second (libsodium-wrappers).`)

mkdirSync("bench/results", { recursive: true })
const commit = execFileSync("git", ["rev-parse", "--short", "HEAD"], { encoding: "utf8" }).trim()
const file = `bench/results/${new Date().toISOString().replaceAll(":", "-")}.json`
const machine = { cpu: cpus()[0]?.model, cores: cpus().length, node: process.version }
writeFileSync(
  file,
  `${JSON.stringify({ commit, machine, rounds, seconds, signaturesPerSecond: median(floor), results }, null, 2)}\n`
)
console.log(`Written to ${file}.`)
