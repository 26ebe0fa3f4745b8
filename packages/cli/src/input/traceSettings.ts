/** Which frames `serve` traces. */
import * as Flags from "@oclif/core/flags"
import { CliFailure } from "../output/CliFailure.ts"

export const traceFlags = {
  "trace-ratio": Flags.string({
    description:
      "part of the stored changes whose way through the servers is traced, from 0 to 1, for the collector of OTEL_EXPORTER_OTLP_ENDPOINT; give all servers the same",
    env: "SEALOG_TRACE_RATIO",
    default: "0"
  })
}

export const traceRatioOf = (text: string): number => {
  const ratio = Number(text)
  if (text.trim() !== "" && ratio >= 0 && ratio <= 1) return ratio
  throw new CliFailure({
    code: "TRACE_RATIO_INVALID",
    message: `${text} is not a part of the changes.`,
    exitCode: 2,
    tryThis: "a number from 0 to 1, such as 0.01 for one change in a hundred"
  })
}

/** Spans that nothing receives are a mistake in the settings. */
export const throwNoCollector = (): never => {
  throw new CliFailure({
    code: "NO_COLLECTOR",
    message: "--trace-ratio asks for traces, and no variable names a collector that receives them.",
    exitCode: 2,
    tryThis: "OTEL_EXPORTER_OTLP_ENDPOINT=http://localhost:4318, or leave out --trace-ratio (and SEALOG_TRACE_RATIO)"
  })
}
