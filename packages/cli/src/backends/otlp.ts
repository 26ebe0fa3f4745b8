/** Sends the metrics to an OpenTelemetry collector, if the standard variables name one. */
import type { Layer } from "effect"

/** undefined: the variables name no collector, and no code for one is loaded. */
export const otlpMetrics = async (): Promise<Layer.Layer<never> | undefined> => {
  const { env } = process
  if (!env["OTEL_EXPORTER_OTLP_ENDPOINT"] && !env["OTEL_EXPORTER_OTLP_METRICS_ENDPOINT"]) return undefined
  const OtlpMetrics = await import("effect/observability/OtlpMetrics")
  const OtlpSerialization = await import("effect/observability/OtlpSerialization")
  const FetchHttpClient = await import("effect/http/FetchHttpClient")
  const ConfigProvider = await import("effect/ConfigProvider")
  const Effect = await import("effect/Effect")
  const Layer = await import("effect/Layer")
  // The defaults of OpenTelemetry's specification, which Effect does not have.
  const isNamed = /(^|,)\s*service\.name=/.test(env["OTEL_RESOURCE_ATTRIBUTES"] ?? "")
  const defaults = { OTEL_METRICS_EXPORTER: "otlp", ...(isNamed ? {} : { OTEL_SERVICE_NAME: "sealog" }) }
  const exporter = OtlpMetrics.layerFromConfig().pipe(
    Layer.provide([
      OtlpSerialization.layerProtobuf,
      FetchHttpClient.layer,
      ConfigProvider.layer(ConfigProvider.fromEnv({ env: { ...defaults, ...withoutUndefined(env) } }))
    ])
  )
  return Layer.effectDiscard(Effect.void).pipe(Layer.provide(exporter))
}

const withoutUndefined = (env: NodeJS.ProcessEnv): Record<string, string> =>
  Object.fromEntries(Object.entries(env).flatMap(([name, value]) => (value === undefined ? [] : [[name, value]])))
