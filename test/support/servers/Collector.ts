/** An OpenTelemetry collector: it receives spans as OTLP's JSON over HTTP, and keeps them. */
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import { Effect, type Scope } from "effect"

export interface ReceivedSpan {
  readonly traceId: string
  readonly spanId: string
  readonly parentSpanId?: string
  readonly name: string
  /** Nanoseconds since 1970. */
  readonly start: bigint
  readonly end: bigint
  readonly attributes: Readonly<Record<string, string | number>>
  /** `service.instance.id` of the process that sent it. */
  readonly instance: string
}

export interface Collector {
  readonly spans: ReadonlyArray<ReceivedSpan>
  /** The variables of a server that sends its spans here, at once. */
  readonly variables: Readonly<Record<string, string>>
}

interface Attribute {
  readonly key: string
  readonly value: { readonly stringValue?: string; readonly intValue?: number | string }
}

const recordOf = (attributes: ReadonlyArray<Attribute>): Record<string, string | number> =>
  Object.fromEntries(
    attributes.map(({ key, value }) => [
      key,
      value.stringValue ?? (value.intValue === undefined ? "" : +value.intValue)
    ])
  )

export const startCollector: Effect.Effect<Collector, never, Scope.Scope> = Effect.gen(function* () {
  const spans: Array<ReceivedSpan> = []
  const take = (body: string) => {
    for (const { resource, scopeSpans } of JSON.parse(body).resourceSpans) {
      const instance = String(recordOf(resource.attributes)["service.instance.id"])
      for (const { startTimeUnixNano, endTimeUnixNano, attributes, ...span } of scopeSpans[0].spans) {
        const [start, end] = [BigInt(startTimeUnixNano), BigInt(endTimeUnixNano)]
        spans.push({ ...span, start, end, attributes: recordOf(attributes), instance })
      }
    }
  }
  const server = createServer((request, response) => {
    let body = ""
    request.on("data", (chunk) => (body += String(chunk)))
    request.on("end", () => {
      if (request.url === "/v1/traces") take(body)
      response.end("{}")
    })
  })
  yield* Effect.acquireRelease(
    Effect.callback<void>((resume) => void server.listen(0, "127.0.0.1", () => resume(Effect.void))),
    () =>
      Effect.sync(() => {
        server.close()
        server.closeAllConnections()
      })
  )
  const { port } = server.address() as AddressInfo
  const variables = {
    OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${port}`,
    OTEL_EXPORTER_OTLP_PROTOCOL: "http/json",
    OTEL_BSP_SCHEDULE_DELAY: "100"
  }
  return { spans, variables }
})
