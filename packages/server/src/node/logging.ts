/** Gives what the server logs to a function of the app. */
import { Cause, Logger, References } from "effect"

export type LogLevel = "debug" | "info" | "warn" | "error"

/** `details`: the values of the line, such as `libraryId`, and `error` if there is one. No line holds a token. */
export type Log = (level: LogLevel, message: string, details: Readonly<Record<string, unknown>>) => void

/** Replaces the default, which writes lines to the console. A function that throws loses the line and nothing else. */
export const layerLog = (log: Log) =>
  Logger.layer([
    Logger.make(({ cause, fiber, logLevel, message }) => {
      const parts = Array.isArray(message) ? message : [message]
      const texts = parts.filter((part) => typeof part === "string")
      const values = parts.filter((part) => typeof part !== "string")
      const details = {
        ...fiber.getRef(References.CurrentLogAnnotations),
        ...Object.assign({}, ...values.filter((value) => typeof value === "object" && !(value instanceof Error))),
        ...errorOf(cause, values)
      }
      try {
        log(levelOf(logLevel), texts.join(" "), details)
      } catch {}
    })
  ])

const errorOf = (cause: Cause.Cause<unknown>, values: ReadonlyArray<unknown>) => {
  const thrown = values.find((value) => value instanceof Error)
  if (thrown !== undefined) return { error: thrown }
  return cause.reasons.length === 0 ? {} : { error: Cause.squash(cause) }
}

const levelOf = (level: string): LogLevel => {
  if (level === "Fatal" || level === "Error") return "error"
  if (level === "Warn") return "warn"
  return level === "Info" ? "info" : "debug"
}
