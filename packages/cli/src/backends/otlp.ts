/** Sends the metrics, and the spans of frames, to an OpenTelemetry collector, if the standard variables name one. */
import type { Layer } from "effect"

export interface OtlpLayers {
  /** undefined: the variables name no collector of metrics. */
  readonly metrics: Layer.Layer<never> | undefined
  /** Gives the server its `FrameTracer`. undefined: the variables name no collector of traces. */
  readonly traces: Layer.Layer<never> | undefined
}

const hasCollectorOf = (signal: "METRICS" | "TRACES"): boolean =>
  Boolean(process.env["OTEL_EXPORTER_OTLP_ENDPOINT"] || process.env[`OTEL_EXPORTER_OTLP_${signal}_ENDPOINT`])

/** Loads no code for a collector that is not named, nor for traces that nobody wants. */
export const otlpLayers = async (wantsTraces: boolean): Promise<OtlpLayers> => {
  const [hasMetrics, hasTraces] = [hasCollectorOf("METRICS"), wantsTraces && hasCollectorOf("TRACES")]
  if (!hasMetrics && !hasTraces) return { metrics: undefined, traces: undefined }
  const { env } = process
  const OtlpSerialization = await import("effect/observability/OtlpSerialization")
  const FetchHttpClient = await import("effect/http/FetchHttpClient")
  const ConfigProvider = await import("effect/ConfigProvider")
  const Effect = await import("effect/Effect")
  const Layer = await import("effect/Layer")
  const resource = env["OTEL_RESOURCE_ATTRIBUTES"] ?? ""
  const names = (attribute: string) => new RegExp(`(^|,)\\s*${attribute.replaceAll(".", "\\.")}=`).test(resource)
  // The defaults of OpenTelemetry's specification, which Effect does not have.
  const defaults = {
    OTEL_METRICS_EXPORTER: "otlp",
    OTEL_TRACES_EXPORTER: "otlp",
    ...(names("service.name") ? {} : { OTEL_SERVICE_NAME: "sealog" })
  }
  // Without it, a collector takes the numbers of several processes for those of one.
  const instance = names("service.instance.id") ? [] : [`service.instance.id=${crypto.randomUUID()}`]
  const identity = { OTEL_RESOURCE_ATTRIBUTES: [...(resource === "" ? [] : [resource]), ...instance].join(",") }
  const isJson = env["OTEL_EXPORTER_OTLP_PROTOCOL"] === "http/json"
  const settings = Layer.mergeAll(
    isJson ? OtlpSerialization.layerJson : OtlpSerialization.layerProtobuf,
    FetchHttpClient.layer,
    ConfigProvider.layer(ConfigProvider.fromEnv({ env: { ...defaults, ...withoutUndefined(env), ...identity } }))
  )
  const metricsLayer = async () => {
    const { layerFromConfig } = await import("effect/observability/OtlpMetrics")
    return Layer.effectDiscard(Effect.void).pipe(Layer.provide(layerFromConfig()), Layer.provide(settings))
  }
  const tracesLayer = async () => {
    const { layerFromConfig } = await import("effect/observability/OtlpTracer")
    const { Tracer } = await import("effect/Tracer")
    const { FrameTracer } = await import("@sealog/server")
    // The server's other spans stay out: Effect makes one for each request and statement.
    return Layer.effect(FrameTracer, Effect.service(Tracer)).pipe(
      Layer.provide(layerFromConfig()),
      Layer.provide(settings)
    )
  }
  return {
    metrics: hasMetrics ? await metricsLayer() : undefined,
    traces: hasTraces ? await tracesLayer() : undefined
  }
}

const withoutUndefined = (env: NodeJS.ProcessEnv): Record<string, string> =>
  Object.fromEntries(Object.entries(env).flatMap(([name, value]) => (value === undefined ? [] : [[name, value]])))
