import { Flags } from "@oclif/core"
import type { Finding } from "@sealog/server/storage"
import { type Redacted, value } from "effect/Redacted"
import { BaseCommand } from "../BaseCommand.ts"
import { CliFailure, failureOf } from "../output/CliFailure.ts"

interface DoctorResult {
  /** No finding says "fail". */
  readonly healthy: boolean
  readonly findings: ReadonlyArray<Finding>
}

export default class Doctor extends BaseCommand<DoctorResult> {
  static override description =
    `Look whether a server has what it needs: database, migrations, settings, rights, disk, keys, clock, port.

Changes nothing. Exit code 1 when something is wrong.`
  static override examples = [
    "<%= config.bin %> doctor",
    "<%= config.bin %> doctor --database postgres://sealog_server@localhost/sealog --port 8080 --json"
  ]
  static override flags = {
    port: Flags.integer({
      description: "the port that a server listens on, or is to",
      default: 4000,
      min: 1,
      max: 65_535
    })
  }

  async run(): Promise<DoctorResult> {
    const { flags } = await this.parse(Doctor)
    const { backendOf } = await import("../backends/storage.ts")
    const backend = await backendOf(flags.database)
    const storage = await this.execute(backend.diagnose).catch((error: unknown) => [unreachable(error)])
    const { tokenSecrets } = await import("../input/secrets.ts")
    const findings: ReadonlyArray<Finding> = [
      { check: "node", state: "ok", detail: process.versions.node },
      keys(tokenSecrets),
      ...storage,
      await port(flags.port)
    ]
    const { mark } = await import("../output/format.ts")
    for (const { check, state, detail, tryThis } of findings) {
      this.print(`${mark(state)} ${check.padEnd(12)} ${detail}`)
      if (state !== "ok" && tryThis !== undefined) this.print(`       ${"Try:".padEnd(12)} ${tryThis}`)
    }
    const healthy = findings.every(({ state }) => state !== "fail")
    if (!healthy) process.exitCode = 1
    return { healthy, findings }
  }
}

const unreachable = (error: unknown): Finding => {
  const { message, tryThis } = failureOf(error)
  return { check: "database", state: "fail", detail: message, ...(tryThis === undefined ? {} : { tryThis }) }
}

/** Whether a server would find a secret that is long enough; what it is goes nowhere. */
const keys = (tokenSecrets: () => ReadonlyArray<Redacted<string>>): Finding => {
  try {
    const secrets = tokenSecrets()
    const short = secrets.filter((secret) => Buffer.byteLength(value(secret)) < MIN_SECRET_BYTES)
    if (short.length === 0)
      return { check: "keys", state: "ok", detail: `${secrets.length} that tokens are verified with` }
    return {
      check: "keys",
      state: "fail",
      detail: `a secret is shorter than ${MIN_SECRET_BYTES} bytes`,
      tryThis: NEW_SECRET
    }
  } catch (error) {
    if (!(error instanceof CliFailure)) throw error
    return {
      check: "keys",
      // `serve --dev` makes its own.
      state: error.code === "NO_TOKEN_SECRET" ? "warn" : "fail",
      detail: error.message,
      tryThis: error.tryThis ?? NEW_SECRET
    }
  }
}

/** A server of ours that is well, nobody, or somebody else. */
const port = async (number: number): Promise<Finding> => {
  const answer = await fetch(`http://127.0.0.1:${number}/healthz`, { signal: AbortSignal.timeout(PATIENCE) }).then(
    async (response) => ({ status: response.status, text: (await response.text()).slice(0, 200) }),
    (error: unknown) => (isRefused(error) ? "free" : "silent")
  )
  if (answer === "free") return { check: "port", state: "ok", detail: `${number} is free` }
  if (answer !== "silent" && answer.status === 200 && answer.text.includes('"ok"')) {
    return { check: "port", state: "ok", detail: `a server answers on ${number}, and is healthy` }
  }
  return {
    check: "port",
    state: "fail",
    detail:
      answer === "silent"
        ? `something on ${number} does not answer`
        : `${number} answers ${answer.status}: ${answer.text}`,
    tryThis: "another --port, or the log of the server that listens there"
  }
}

const isRefused = (error: unknown): boolean =>
  error instanceof Error && error.cause instanceof Error && "code" in error.cause && error.cause.code === "ECONNREFUSED"

/** How long a server may take to say how it is, ms. */
const PATIENCE = 10_000
const MIN_SECRET_BYTES = 32
const NEW_SECRET = 'TOKEN_SECRET=$(node -p \'require("crypto").randomBytes(32).toString("hex")\')'
