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
}

/** Writes log lines to stderr. SIGUSR2 changes the level to `debug`, and a second one back. */
export const layerLog = ({ format, level }: LogSettings): Layer.Layer<never> => {
  const threshold = new LogThreshold(LEVELS[level])
  const logger = Logger.make<unknown, void>((options) => {
    if (threshold.allows(options.logLevel)) writeLine(escapeControls(formats[format].log(options)))
  })
  return Layer.effectDiscard(toggleOnSignal(threshold, level)).pipe(
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

/** Changes the level at each SIGUSR2 until the scope closes, and logs that. */
const toggleOnSignal = (
  threshold: LogThreshold,
  configured: LogSettings["level"]
): Effect.Effect<void, never, Scope.Scope> =>
  Effect.gen(function* () {
    const run = Effect.runSyncWith(yield* Effect.context<never>())
    // A server that logs more already goes down to `info`.
    const other = threshold.isDebug ? "info" : "debug"
    let isChanged = false
    const say = (text: string) => run(Effect.logInfo(text))
    const toggle = () => {
      isChanged = !isChanged
      if (isChanged) {
        threshold.set(LEVELS[other])
        say(`the log level is ${other} until the next SIGUSR2`)
      } else {
        say(`the log level is ${configured} again`)
        threshold.set(LEVELS[configured])
      }
    }
    yield* Effect.acquireRelease(
      Effect.sync(() => void process.on("SIGUSR2", toggle)),
      () => Effect.sync(() => void process.off("SIGUSR2", toggle))
    )
  })
