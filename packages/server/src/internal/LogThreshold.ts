/**
 * The least severe level that is logged, which may change while the server runs. The code that builds lines for the levels
 * `Debug` and `Trace` looks at it first, so that a server that does not log them pays for one comparison.
 */
import { Context, Effect, LogLevel, References } from "effect"

export class LogThreshold {
  private current: LogLevel.LogLevel
  isDebug = false
  isTrace = false

  constructor(level: LogLevel.LogLevel) {
    this.current = level
    this.set(level)
  }

  get level(): LogLevel.LogLevel {
    return this.current
  }

  set(level: LogLevel.LogLevel): void {
    this.current = level
    this.isDebug = this.allows("Debug")
    this.isTrace = this.allows("Trace")
  }

  /** Whether lines of this level are logged. */
  allows(level: LogLevel.LogLevel): boolean {
    return LogLevel.isGreaterThanOrEqualTo(level, this.current)
  }
}

/**
 * The threshold of a server whose level may change. Set `References.MinimumLogLevel` to `All` then, and have the loggers ask the
 * threshold. Default: none, and `References.MinimumLogLevel` holds as it was when the server started.
 */
export const CurrentLogThreshold = Context.Reference<LogThreshold | undefined>("@sealog/server/CurrentLogThreshold", {
  defaultValue: () => undefined
})

/** The threshold of this context. */
export const logThreshold: Effect.Effect<LogThreshold> = Effect.gen(function* () {
  return (yield* CurrentLogThreshold) ?? new LogThreshold(yield* References.MinimumLogLevel)
})
