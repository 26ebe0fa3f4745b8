/** Runs the built binary as a child process without a terminal, as scripts do. */
import { type ChildProcess, spawn } from "node:child_process"
import { mkdtempSync, readFileSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { fileURLToPath } from "node:url"
import { blake2b256 } from "@sealog/server/domain/Blake2b"
import { LibraryId } from "@sealog/server/domain/Ids"
import { advance, emptyHead, place } from "@sealog/server/domain/Stream"
import { toNewEvent } from "@sealog/server/domain/secsync/Events"
import { EventLog, type PlacedEvent } from "@sealog/server/ports/EventLog"
import { makeDecoder } from "@sealog/server/protocols/secsync/Wire"
import { makeAuthor, snapshotMessage, updateMessage } from "@sealog/server/testing"
import { Ajv2020 } from "ajv/dist/2020.js"
import { type Array, Effect } from "effect"
import { assert } from "vitest"

const packageFolder = join(dirname(fileURLToPath(import.meta.url)), "..")
export const binary = join(packageFolder, "bin", "sync-admin.js")
export const secret = "a-secret-for-tests-alone-of-32-bytes-at-least"

/** Compiled code of the commands. Each test has a home of its own, and would compile it again. */
export const compiled = join(tmpdir(), "sealog-cli-compiled")

export interface Ran {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

export interface RunOptions {
  readonly cwd: string
  readonly env?: Record<string, string | undefined>
  readonly stdin?: string
  readonly node?: string
  /** Streams that look like a terminal to the command. */
  readonly terminal?: ReadonlyArray<"stdin" | "stdout" | "stderr">
  /** The command is sent this signal once, when its stdout matches. */
  readonly signalAtStdout?: { readonly signal: NodeJS.Signals; readonly fits: RegExp }
  /** The command sends itself this signal when it writes a matching text to stderr, so in the middle of its work. */
  readonly signalAtStderr?: { readonly signal: NodeJS.Signals; readonly fits: RegExp }
}

const start = (args: ReadonlyArray<string>, options: RunOptions): ChildProcess =>
  spawn(options.node ?? process.execPath, [...preloaded(options), binary, ...args], {
    cwd: options.cwd,
    env: {
      PATH: process.env["PATH"],
      HOME: options.cwd,
      NODE_COMPILE_CACHE: compiled,
      TOKEN_SECRET: secret,
      ...options.env
    }
  })

const preloaded = ({ cwd, signalAtStderr, terminal = [] }: RunOptions): ReadonlyArray<string> => {
  const lines = terminal.map(
    (name) => `Object.assign(process.${name}, { isTTY: true, getWindowSize: () => [200, 50] })`
  )
  if (signalAtStderr !== undefined) {
    const { fits, signal } = signalAtStderr
    lines.push(`const { write } = process.stderr
let isSent = false
process.stderr.write = (text, ...rest) => {
  if (!isSent && ${fits}.test(text)) {
    isSent = true
    process.kill(process.pid, "${signal}")
  }
  return write.call(process.stderr, text, ...rest)
}`)
  }
  if (lines.length === 0) return []
  const file = join(mkdtempSync(join(cwd, "preloaded-")), "preloaded.cjs")
  writeFileSync(file, lines.join("\n"))
  return ["--require", file]
}

export const run = (args: ReadonlyArray<string>, options: RunOptions): Promise<Ran> =>
  new Promise((resolve, reject) => {
    const child = start(args, options)
    let [stdout, stderr] = ["", ""]
    let { signalAtStdout: awaited } = options
    child.stdout?.on("data", (data) => {
      stdout += data
      if (awaited === undefined || !awaited.fits.test(stdout)) return
      child.kill(awaited.signal)
      awaited = undefined
    })
    child.stderr?.on("data", (data) => {
      stderr += data
    })
    child.on("error", reject)
    child.on("close", (code) => resolve({ code, stdout, stderr }))
    // The pipe breaks if the command ends before it has read all input.
    child.stdin?.on("error", () => {}).end(options.stdin ?? "")
  })

export interface Served {
  readonly stdout: () => string
  readonly stderr: () => string
  readonly port: number
  readonly signal: (signal: NodeJS.Signals) => void
  /** Closes the reader's end of stderr, as a log collector that is stopped does. */
  readonly closeStderr: () => void
  /** Sends a signal and waits until the process has ended. */
  readonly stop: (signal: NodeJS.Signals) => Promise<Ran>
}

/** Starts `serve` and waits until it prints its address. */
export const serve = (args: ReadonlyArray<string>, options: RunOptions): Promise<Served> =>
  new Promise((resolve, reject) => {
    const child = start(["serve", "--port", "0", ...args], options)
    let [stdout, stderr] = ["", ""]
    const ended = new Promise<number | null>((done) => void child.on("close", done))
    const look = () => {
      const port = /ws:\/\/(?:\[[^\]]+\]|[^:\s]+):(\d+)/.exec(stdout + stderr)?.[1]
      if (port === undefined) return
      const stop: Served["stop"] = async (signal) => {
        child.kill(signal)
        return { code: await ended, stdout, stderr }
      }
      resolve({
        ...{ port: Number(port), stop },
        stdout: () => stdout,
        stderr: () => stderr,
        signal: (signal) => void child.kill(signal),
        closeStderr: () => void child.stderr?.destroy()
      })
    }
    child.stdout?.on("data", (data) => {
      stdout += data
      look()
    })
    child.stderr?.on("data", (data) => {
      stderr += data
      look()
    })
    void ended.then((code) => reject(new Error(`serve ended with ${code}: ${stderr}`)))
  })

export const freshFolder = (): string => mkdtempSync(join(tmpdir(), "sealog-cli-"))

const ajv = new Ajv2020({ allErrors: true })

/** The errors of a command's JSON against its committed schema; "" if there are none. */
export const schemaErrors = (name: string, json: unknown): string => {
  const schema: object = JSON.parse(readFileSync(join(packageFolder, "schemas", `${name}.json`), "utf8"))
  return ajv.validate(schema, json) ? "" : ajv.errorsText()
}

/** Parses stdout as one JSON value and checks it against the command's schema. */
export const jsonOf = (name: string, { stdout }: Ran): Record<string, unknown> => {
  const json: unknown = JSON.parse(stdout)
  assert.strictEqual(schemaErrors(name, json), "")
  return json as Record<string, unknown>
}

export const errorOf = (ran: Ran) =>
  (jsonOf("error", ran) as { error: { code: string; message: string; try?: string } }).error

/** Appends the document "welcome" with one snapshot and `updates` updates to a log that lacks it. */
export const storeDocument = Effect.fnUntraced(function* (updates: number, libraryId = "notes") {
  const [author, decode] = [makeAuthor(), makeDecoder()]
  const message = decode(JSON.stringify(snapshotMessage(author, { docId: "welcome" })))
  if (message._tag !== "Snapshot") throw new Error(message._tag)
  const { snapshotId, parentSnapshotId, parentSnapshotProof, ciphertextHash, pubKey, payload } = message
  const stored = {
    _tag: "SnapshotStored" as const,
    ...{ snapshotId, parentSnapshotId, parentSnapshotProof, ciphertextHash, pubKey },
    parentSnapshotUpdateClocks: {}
  }
  const key = { libraryId: LibraryId.make(libraryId), streamId: "welcome" }
  const event = place(key, emptyHead, toNewEvent(stored, blake2b256(payload)), "test", 1_700_000_000_000)
  const events: Array.NonEmptyArray<PlacedEvent> = [{ event, payload }]
  for (let clock = 0, head = advance(emptyHead, event); clock < updates; clock++) {
    const update = decode(JSON.stringify(updateMessage(author, { docId: "welcome", refSnapshotId: snapshotId, clock })))
    if (update._tag !== "Update") throw new Error(update._tag)
    const data = { _tag: "UpdateStored" as const, refSnapshotId: snapshotId, pubKey, clock }
    const placed = place(key, head, toNewEvent(data, blake2b256(update.payload)), "test", 1_700_000_000_000)
    events.push({ event: placed, payload: update.payload })
    head = advance(head, placed)
  }
  yield* (yield* EventLog).append([{ key, expectedVersion: 0, events }])
})
