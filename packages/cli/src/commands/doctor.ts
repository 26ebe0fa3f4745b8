import * as Flags from "@oclif/core/flags"
import { JwtAccess } from "@sealog/server/adapters"
import { findDamage, logEpoch } from "@sealog/server/admin"
import type { TokenSecret } from "@sealog/server/ports"
import type { Finding } from "@sealog/server/storage"
import { flatMap, scoped } from "effect/Effect"
import { value } from "effect/Redacted"
import { BaseCommand } from "../BaseCommand.ts"
import { backendOf } from "../backends/storage.ts"
import { findTokenSecrets, tokenSecrets } from "../input/secrets.ts"
import { tokenSettings } from "../input/tokenSettings.ts"
import { CliFailure, failureOf, NEW_SECRET } from "../output/CliFailure.ts"
import { damageFindings } from "../output/damage.ts"
import { ago, count, makeProgress, stateLabel } from "../output/format.ts"

interface DoctorResult {
  /** True if no finding has the state "fail". */
  readonly healthy: boolean
  readonly findings: ReadonlyArray<Finding>
}

export default class Doctor extends BaseCommand<DoctorResult> {
  static override summary = "Check whether a server can run: database, rights, damage, disk, keys, clock and port."
  static override description =
    `The command changes nothing. It prints a line per check: ok, warn (works, but should be mended) or FAIL, with advice.

It reads the whole log, and names each stream whose data has changed or is gone, with the versions. On a large log this takes a while; --quick leaves it out.

Exit code 1 if a check failed. Run it on the server's machine, with the server's DATABASE_URL and TOKEN_SECRET.`
  static override examples = [
    "<%= config.bin %> doctor",
    "<%= config.bin %> doctor --database postgres://sealog_server@localhost/sealog --port 8080 --json"
  ]
  static override flags = {
    port: Flags.integer({
      description: "port that a server listens on, or will listen on",
      default: 4000,
      min: 1,
      max: 65_535
    }),
    quick: Flags.boolean({ description: "do not read the log to look for damage", default: false })
  }

  async run(): Promise<DoctorResult> {
    const { flags } = await this.parse(Doctor)
    const backend = await backendOf(flags.database)
    const storage = await this.execute(backend.diagnose(flags.quick)).catch((error: unknown) => [unreachable(error)])
    const isReadable = !storage.some(({ check, state }) => state === "fail" && UNREADABLE.has(check))
    const findings: ReadonlyArray<Finding> = [
      { check: "node", state: "ok", detail: process.versions.node },
      ...(process.env["TOKEN_JWKS"] ? [] : [keys(tokenSecrets)]),
      ...(await this.keySet()),
      ...storage,
      ...(isReadable ? [await this.epoch(flags.database)] : []),
      ...(isReadable && !flags.quick ? await this.damage(flags.database) : []),
      await port(flags.port)
    ]
    for (const { check, state, detail, tryThis } of findings) {
      this.print(`${stateLabel(state)} ${check.padEnd(12)} ${detail}`)
      if (state !== "ok" && tryThis !== undefined) this.print(`       ${"Try:".padEnd(12)} ${tryThis}`)
    }
    const healthy = findings.every(({ state }) => state !== "fail")
    if (!healthy) process.exitCode = 1
    return { healthy, findings }
  }

  /** The log's identity, and whether it was restored from a backup. */
  private async epoch(database: string): Promise<Finding> {
    const found = await this.executeOn(database, logEpoch()).catch((error: unknown) => unreachable(error))
    if ("check" in found) return { ...found, check: "log" }
    const { isStandby, logId, number, restored } = found
    const name = logId === undefined ? "no server has named it yet" : logId
    const since = restored === undefined ? "never restored" : `restored ${ago(restored.at)}`
    if (isStandby) {
      return {
        check: "log",
        state: "warn",
        detail: "a standby of another log, which servers refuse",
        tryThis: "sync-admin promote, once no server writes to the other log"
      }
    }
    return { check: "log", state: "ok", detail: `epoch ${number}, ${since}; ${name}` }
  }

  /** Each stream whose data is not as it was written. */
  private async damage(database: string): Promise<ReadonlyArray<Finding>> {
    const progress = makeProgress("doctor (events)")
    try {
      const { events, ...found } = await this.executeOn(database, findDamage(progress.update)).finally(progress.end)
      if (found.problemCount > 0) return damageFindings(found)
      return [{ check: "damage", state: "ok", detail: `none in ${count(events, "event")}` }]
    } catch (error) {
      return [{ ...unreachable(error), check: "damage" }]
    }
  }

  /** Checks that the keys of a server with TOKEN_JWKS can be loaded, and its secrets if it has any. */
  private async keySet(): Promise<ReadonlyArray<Finding>> {
    if (!process.env["TOKEN_JWKS"]) return []
    try {
      const settings = tokenSettings({ "token-jwks": process.env["TOKEN_JWKS"] }, findTokenSecrets() ?? [])
      const found = await this.execute(scoped(flatMap(JwtAccess.makeVerifier(settings), ({ keys }) => keys)))
      return [{ check: "keys", state: "ok", detail: `${found.length} to verify tokens with` }]
    } catch (error) {
      const { message, tryThis } = failureOf(error)
      return [{ check: "keys", state: "fail", detail: message, ...(tryThis === undefined ? {} : { tryThis }) }]
    }
  }
}

/** Checks of a storage without which the log cannot be read. */
const UNREADABLE: ReadonlySet<string> = new Set(["database", "migrations"])

const unreachable = (error: unknown): Finding => {
  const { message, tryThis } = failureOf(error)
  return { check: "database", state: "fail", detail: message, ...(tryThis === undefined ? {} : { tryThis }) }
}

/** Checks that a server finds secrets that are long enough. The finding never shows a secret. */
const keys = (tokenSecrets: () => ReadonlyArray<TokenSecret>): Finding => {
  try {
    const secrets = tokenSecrets()
    const short = secrets.filter(({ secret }) => Buffer.byteLength(value(secret)) < MIN_SECRET_BYTES)
    if (short.length === 0) return { check: "keys", state: "ok", detail: `${secrets.length} to verify tokens with` }
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
      // Not a failure: `serve --dev` makes a secret of its own.
      state: error.code === "NO_TOKEN_SECRET" ? "warn" : "fail",
      detail: error.message,
      tryThis: error.tryThis ?? NEW_SECRET
    }
  }
}

/** Checks that the port is free, or that a healthy Sealog server answers on it. */
const port = async (number: number): Promise<Finding> => {
  const answer = await fetch(`http://127.0.0.1:${number}/healthz`, {
    signal: AbortSignal.timeout(HEALTH_TIMEOUT)
  }).then(
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
        ? `a process listens on ${number} and does not answer`
        : `${number} answers ${answer.status}: ${answer.text}`,
    tryThis: "use another --port, or read the log lines of the server that listens there"
  }
}

const isRefused = (error: unknown): boolean =>
  error instanceof Error && error.cause instanceof Error && "code" in error.cause && error.cause.code === "ECONNREFUSED"

/** How long a server may take to answer /healthz, in ms. */
const HEALTH_TIMEOUT = 10_000
const MIN_SECRET_BYTES = 32
