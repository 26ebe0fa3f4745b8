import { assert, describe, it } from "@effect/vitest"
import * as Metrics from "@sealog/server/metrics/Metrics"
import { CombinedMetrics } from "@sealog/server/workers/CombinedMetrics"

/** The names come from the declarations, so that a renamed metric does not pass for one that is summed. */
const [counted, age, memory] = [Metrics.requests, Metrics.webhookLagSeconds, Metrics.residentMemory].map(
  ({ declaration }) => declaration.name
)

const textOf = (requests: number, seconds: number, bytes: number) =>
  [
    `# HELP ${counted} HTTP requests, "answered" { or not }`,
    `# TYPE ${counted} counter`,
    `${counted}{route="poll"} ${requests}`,
    "# TYPE sealog_commit_seconds histogram",
    `sealog_commit_seconds_bucket{le="0.1"} ${requests}`,
    `sealog_commit_seconds_bucket{le="+Inf"} ${requests}`,
    `sealog_commit_seconds_sum ${requests / 10}`,
    `sealog_commit_seconds_count ${requests}`,
    `# TYPE ${age} gauge`,
    `${age} ${seconds}`,
    `# TYPE ${memory} gauge`,
    `${memory} ${bytes}`,
    ""
  ].join("\n")

describe("the metrics of workers", () => {
  it("are sums of what they count, the oldest age, and the numbers of each process", () => {
    const metrics = new CombinedMetrics()
    metrics.update("1", textOf(2, 7, 100))
    metrics.update("2", textOf(3, 5, 200))
    const lines = metrics.format().split("\n")
    for (const line of [
      `# TYPE ${counted} counter`,
      `${counted}{route="poll"} 5`,
      'sealog_commit_seconds_bucket{le="+Inf"} 5',
      "sealog_commit_seconds_sum 0.5",
      `${age} 7`,
      `${memory}{worker="1"} 100`,
      `${memory}{worker="2"} 200`
    ]) {
      assert.include(lines, line)
    }
    assert.strictEqual(lines.filter((line) => line.startsWith("# TYPE")).length, 4)
  })

  it("do not fall when a worker ends: its counts stay, and its gauges go", () => {
    const metrics = new CombinedMetrics()
    metrics.update("1", textOf(2, 7, 100))
    metrics.update("2", textOf(3, 5, 200))
    metrics.end("1")
    metrics.update("2", textOf(4, 5, 200))
    assert.include(metrics.format(), `${counted}{route="poll"} 6\n`)
    assert.include(metrics.format(), `${age} 5\n`)
    assert.notInclude(metrics.format(), 'worker="1"')
    metrics.update("1", textOf(1, 0, 100))
    assert.include(metrics.format(), `${counted}{route="poll"} 7\n`)
    assert.include(metrics.format(), "sealog_commit_seconds_count 7\n")
  })

  it("show infinite numbers as Prometheus writes them", () => {
    const metrics = new CombinedMetrics()
    metrics.update("1", "# TYPE a gauge\na +Inf\n# TYPE b gauge\nb -Inf\n# TYPE c gauge\nc NaN\n")
    assert.strictEqual(metrics.format(), "# TYPE a gauge\na +Inf\n# TYPE b gauge\nb -Inf\n# TYPE c gauge\nc NaN\n")
  })
})
