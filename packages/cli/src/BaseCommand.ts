/** The base of every command: its database flag, its output rules, and how an Effect ends as an exit code. */
import { existsSync } from "node:fs"
import { Command } from "@oclif/core/command"
import * as Flags from "@oclif/core/flags"
import { flush } from "@oclif/core/flush"
import { handle } from "@oclif/core/handle"
import type { EventLog, LibraryId, Signals } from "@sealog/server/ports"
import type { Effect } from "effect"
import type { Administration } from "./backends/administration/Administration.ts"
import { settingsOf } from "./input/settings.ts"
import { CliFailure, failureOf } from "./output/CliFailure.ts"
import { escapeControls, jsonText } from "./output/format.ts"
import { nearest } from "./output/nearest.ts"

export abstract class BaseCommand<Result> extends Command {
  static override enableJsonFlag = true
  static override baseFlags = {
    database: Flags.string({
      description: "database that holds the log: sqlite:PATH or postgres://USER:PASSWORD@HOST:PORT/NAME",
      env: "DATABASE_URL",
      default: "sqlite:./data/sealog.db",
      helpGroup: "GLOBAL"
    }),
    config: Flags.string({
      description:
        "file of settings: TOML, whose keys are the flags of `serve` (default: ./sealog.toml, if it is there)",
      env: "SEALOG_CONFIG",
      helpGroup: "GLOBAL"
    })
  }

  /** The variables whose values come from the file of settings. */
  protected fromFile: ReadonlySet<string> = new Set()
  /** The file of settings; undefined if there is none. */
  protected settingsFile: string | undefined

  protected override async init(): Promise<void> {
    // oclif's own `init` is for deprecated commands, of which there are none, and for debugging.
    if (this.isTyped("--server") && this.ctor.flags["server"] === undefined) {
      throw new CliFailure({
        code: "NOT_BY_SERVER",
        message: "This command works on the database and the files of this machine, so a server cannot do it for you.",
        exitCode: 2,
        tryThis: "the same command with --database, on a machine that reaches the database"
      })
    }
    const settings = settingsOf(this.config.findCommand("serve")?.flags ?? {})
    // A file with Windows line ends leaves a carriage return at the end of each variable.
    for (const { variable } of settings) {
      const value = process.env[variable]
      if (value !== undefined) process.env[variable] = value.trim()
    }
    this.settingsFile = flagIn(this.argv, "--config") ?? process.env["SEALOG_CONFIG"]
    if (this.settingsFile === undefined && existsSync(SETTINGS_FILE)) this.settingsFile = SETTINGS_FILE
    if (this.settingsFile === undefined) return
    const { useSettingsFile } = await import("./input/settingsFile.ts")
    this.fromFile = useSettingsFile(this.settingsFile, settings)
  }

  /** Runs the command as oclif's `execute` does, with the configuration that it was made with. */
  async start(): Promise<void> {
    try {
      await this._run()
      await flush()
    } catch (error) {
      await handle(error instanceof Error ? error : new Error(String(error)))
    }
  }

  /** Does the command's work. The result is the command's `--json` output. */
  abstract override run(): Promise<Result>

  /** Runs an Effect. SIGINT, SIGTERM and SIGHUP interrupt it, and the command fails with `INTERRUPTED`. */
  protected async execute<A, E>(effect: Effect.Effect<A, E>): Promise<A> {
    const { run } = await import("./runEffect.ts")
    return run(effect)
  }

  /**
   * Runs an Effect on the log of an existing, migrated database. Fails with `NO_SUCH_LIBRARY` before it runs, if the log holds
   * nothing of `library`.
   */
  protected async executeOn<A, E>(
    database: string,
    effect: Effect.Effect<A, E, EventLog | Signals>,
    library?: LibraryId
  ): Promise<A> {
    const { onDatabase } = await import("./backends/onDatabase.ts")
    return this.execute(await onDatabase(database, effect, library))
  }

  /**
   * Runs deeds of an operator: through the API of the server that --server or SEALOG_SERVER names, else on the database. A
   * --database in the command goes before SEALOG_SERVER.
   */
  protected async administer<A, E>(
    flags: Administered,
    use: (administration: Administration) => Effect.Effect<A, E>,
    run: (effect: Effect.Effect<A, unknown>) => Promise<A> = (effect) => this.execute(effect)
  ): Promise<A> {
    const server = this.serverOf(flags)
    if (server !== undefined) {
      const { administerServer } = await import("./backends/administration/onServer.ts")
      return run(await administerServer(server, use))
    }
    const { administerLog } = await import("./backends/administration/onLog.ts")
    return run(await administerLog(flags, use))
  }

  private isTyped(flag: string): boolean {
    return this.argv.some((arg) => arg === flag || arg.startsWith(`${flag}=`))
  }

  /** The server that the command works through; undefined: it works on the database. */
  private serverOf({ server }: Administered): string | undefined {
    if (server === undefined || (this.isTyped("--database") && !this.isTyped("--server"))) return undefined
    for (const flag of ["--database", "--files", "--as"]) {
      if (!this.isTyped(flag)) continue
      throw new CliFailure({
        code: "USAGE",
        message: `${flag} and --server exclude each other: the server has a database and files of its own, and its token names you.`,
        exitCode: 2,
        tryThis: `the same command without ${flag}, or with --database in place of --server`
      })
    }
    return server
  }

  /** Runs an Effect until it ends, or until SIGINT, SIGTERM or SIGHUP stops it, which is a success. */
  protected async executeUntilStopped<E>(effect: Effect.Effect<unknown, E>): Promise<void> {
    const { runUntilStopped } = await import("./runEffect.ts")
    return runUntilStopped(effect)
  }

  /** Prints text for people. With `--json` it prints nothing, because stdout holds one JSON value. */
  protected print(text: string): void {
    if (!this.jsonEnabled()) this.log(escapeControls(text))
  }

  override logJson(json: unknown): void {
    process.stdout.write(`${jsonText(json)}\n`)
  }

  /** Prints a line for people while the command still runs; with `--json` on stderr. */
  protected announce(text: string): void {
    const line = escapeControls(text)
    if (this.jsonEnabled()) process.stderr.write(`${line}\n`)
    else this.log(line)
  }

  protected override async catch(error: unknown): Promise<void> {
    // oclif ends --help and --version by throwing an error with exit code 0.
    if (error instanceof Error && "oclif" in error && isExitZero(error.oclif)) throw error
    const failure = mistypedFlag(error, Object.keys({ ...this.ctor.flags, ...this.ctor.baseFlags })) ?? failureOf(error)
    process.exitCode = failure.exitCode
    if (this.jsonEnabled()) this.logJson(failure.toJSON())
    else process.stderr.write(escapeControls(failure.toText()))
  }
}

interface Administered {
  readonly database: string
  readonly server: string | undefined
  /** Where uploaded files are, for commands that delete them. */
  readonly files?: string | undefined
}

const SETTINGS_FILE = "./sealog.toml"

/** The value of a flag that must be known before oclif reads the flags. */
const flagIn = (argv: ReadonlyArray<string>, flag: string): string | undefined => {
  const given = argv.findIndex((arg) => arg === flag || arg.startsWith(`${flag}=`))
  return argv[given] === flag ? argv[given + 1] : argv[given]?.slice(flag.length + 1)
}

/** The failure for a flag that the command does not have, with the nearest one that it has. */
const mistypedFlag = (error: unknown, names: ReadonlyArray<string>): CliFailure | undefined => {
  const [, typed = ""] = /^Nonexistent flag: --([\w-]+)/.exec(error instanceof Error ? error.message : "") ?? []
  const meant = typed === "" ? undefined : nearest(typed, names)
  if (meant === undefined) return undefined
  return new CliFailure({ code: "USAGE", message: `There is no flag --${typed}.`, exitCode: 2, tryThis: `--${meant}` })
}

const isExitZero = (oclif: unknown): boolean =>
  typeof oclif === "object" && oclif !== null && "exit" in oclif && oclif.exit === 0
