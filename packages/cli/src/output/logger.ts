/** The log lines of `serve`: their format, and their level, which an operator can change while the server runs. */
import { CurrentLogThreshold, LogThreshold } from "@sealog/server"
import { Effect, Layer, Logger, type LogLevel, References, type Scope } from "effect"
import { escapeControls } from "./format.ts"

export type LogFormat = "logfmt" | "json" | "pretty"

const LEVELS = {
  trace: "Trace",
  debug: "Debug",
  info: "Info",
  warning: "Warn",
  error: "Error",
  none: "None"
} as const satisfies Readonly<Record<string, LogLevel.LogLevel>>

export interface LogSettings {
  readonly format: LogFormat
  readonly level: keyof typeof LEVELS
  /** Default: SIGUSR2 changes the level, and a second one changes it back. */
  readonly levels?: LevelSwitch | undefined
}

/** Calls `change` with whether the level differs from the configured one. Returns what ends that. */
export type LevelSwitch = (change: (isChanged: boolean) => void) => () => void

/** Writes log lines to stderr. A switch changes the level to `debug` and back. */
export const layerLog = ({ format, level, levels = bySignal }: LogSettings): Layer.Layer<never> => {
  const threshold = new LogThreshold(LEVELS[level])
  const logger = Logger.make<unknown, void>((options) => {
    if (threshold.allows(options.logLevel)) writeLine(escapeControls(formats[format].log(options)))
  })
  return Layer.effectDiscard(changeLevels(threshold, level, levels)).pipe(
    Layer.provideMerge(
      Layer.mergeAll(
        Logger.layer([logger]),
        Layer.succeed(CurrentLogThreshold, threshold),
        // The threshold decides.
        Layer.succeed(References.MinimumLogLevel, "All")
      )
    )
  )
}

const writeLine = (text: string): void => void process.stderr.write(`${text}\n`)

/** One line, and the cause of a failure on lines of its own. */
const pretty = Logger.map(Logger.formatStructured, ({ annotations, cause, level, message, timestamp }) => {
  const time = timestamp.slice(11, 23)
  const fields = Object.entries(annotations).map(([name, value]) => `${name}=${textOf(value)}`)
  const line = [time, level.padEnd(5), [message].flat().map(textOf).join(" "), ...fields].join(" ")
  return cause === undefined ? line : `${line}\n${cause}`
})

const textOf = (value: unknown): string => (typeof value === "string" ? value : JSON.stringify(value))

const formats: Readonly<Record<LogFormat, Logger.Logger<unknown, string>>> = {
  logfmt: Logger.formatLogFmt,
  json: Logger.formatJson,
  pretty
}

const bySignal: LevelSwitch = (change) => {
  let isChanged = false
  const toggle = () => {
    isChanged = !isChanged
    change(isChanged)
  }
  process.on("SIGUSR2", toggle)
  return () => void process.off("SIGUSR2", toggle)
}

/** Changes the level until the scope closes, and logs that. */
const changeLevels = (
  threshold: LogThreshold,
  configured: LogSettings["level"],
  levels: LevelSwitch
): Effect.Effect<void, never, Scope.Scope> =>
  Effect.gen(function* () {
    const run = Effect.runSyncWith(yield* Effect.context<never>())
    // A server that logs more already goes down to `info`.
    const other = threshold.isDebug ? "info" : "debug"
    const say = (text: string) => run(Effect.logInfo(text))
    const change = (isChanged: boolean) => {
      if (isChanged) {
        threshold.set(LEVELS[other])
        say(`the log level is ${other} until the next SIGUSR2`)
      } else {
        say(`the log level is ${configured} again`)
        threshold.set(LEVELS[configured])
      }
    }
    yield* Effect.acquireRelease(
      Effect.sync(() => levels(change)),
      (end) => Effect.sync(end)
    )
  })
