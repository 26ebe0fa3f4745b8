/** The log lines and the metrics of `serve`, as an operator sees them. */
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import { Effect } from "effect"
import { assert, describe, it } from "vitest"
import { WebSocket } from "ws"
import { until } from "#test-support/until"
import { errorOf, freshFolder, run, secret, serve } from "./support.ts"

const eventually = (what: string, condition: () => boolean, describe?: () => unknown): Promise<void> =>
  Effect.runPromise(until(what, condition, describe))

const token = "a-token-for-scrapers-of-this-test"

/** Has the server refuse a client: its token is not valid. Returns the close code. */
const connectWithoutToken = (port: number): Promise<number> =>
  new Promise((resolve, reject) => {
    new WebSocket(`ws://127.0.0.1:${port}/document?sessionKey=not-a-token`).on("close", resolve).on("error", reject)
  })

const scrape = async (port: number): Promise<string> => {
  const answer = await fetch(`http://127.0.0.1:${port}/metrics`, { headers: { authorization: `Bearer ${token}` } })
  return answer.text()
}

describe("the log", () => {
  it("names the settings at the start and no secret, and says when the server stops", async () => {
    const env = { SEALOG_METRICS_TOKEN: token, LINK_SECRET: "another-secret-for-tests-alone-of-32-bytes" }
    const args = ["--log-format", "json", "--max-connections", "7", "--log-level", "debug"]
    const server = await serve(args, { cwd: freshFolder(), env })
    assert.strictEqual(await connectWithoutToken(server.port), 4401)
    const { code, stderr } = await server.stop("SIGTERM")
    assert.strictEqual(code, 0)
    const lines = stderr
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line))
    const started = lines.find(({ message }) => message === "server started")
    assert.strictEqual(started.annotations["max-connections"], 7)
    assert.strictEqual(started.annotations.port, server.port)
    assert.strictEqual(started.annotations.database, "sqlite:./data/sealog.db")
    assert.deepStrictEqual(
      lines.filter(({ level }) => level === "INFO").map(({ message }) => message),
      ["server started", "server stops", "server stopped"]
    )
    const refused = lines.find(({ message }) => message === "connection refused")
    assert.deepInclude(refused.annotations, { protocol: "secsync", code: 4401, reason: "the token is not valid" })
    for (const text of [secret, token, env.LINK_SECRET, "not-a-token"]) assert.notInclude(stderr, text)
  })

  it("has no line for connections at the default level, until SIGUSR2 changes the level", async () => {
    const server = await serve([], { cwd: freshFolder(), env: { SEALOG_METRICS_TOKEN: token } })
    await connectWithoutToken(server.port)
    // The server sees the end of the connection a little later than the client.
    let scraped = ""
    while (!scraped.includes('code="4401"')) scraped = await scrape(server.port)
    server.signal("SIGUSR2")
    await eventually("the change is logged", () => server.stderr().includes("the log level is debug until"))
    assert.notInclude(server.stderr(), "connection refused")
    await connectWithoutToken(server.port)
    await eventually("the refusal is logged", () => server.stderr().includes("connection refused"))
    server.signal("SIGUSR2")
    await eventually("the change back is logged", () => server.stderr().includes("the log level is info again"))
    const before = server.stderr()
    await connectWithoutToken(server.port)
    const { stderr } = await server.stop("SIGTERM")
    assert.notInclude(stderr.slice(before.length), "connection")
  })

  it.each([
    ["logfmt", /^timestamp=\S+ level=INFO .*message="server started" .*port=\d+/m],
    ["pretty", /^\d\d:\d\d:\d\d\.\d{3} INFO {2}server started .*port=\d+/m]
  ])("can be %s", async (format, fits) => {
    const server = await serve([], { cwd: freshFolder(), env: { LOG_FORMAT: format } })
    await eventually("the start is logged", () => fits.test(server.stderr()), server.stderr)
    await server.stop("SIGTERM")
  })

  it("may lose its reader: the server goes on", async () => {
    const server = await serve(["--log-level", "debug"], { cwd: freshFolder() })
    server.closeStderr()
    for (let i = 0; i < 20; i++) assert.strictEqual(await connectWithoutToken(server.port), 4401)
    assert.strictEqual((await fetch(`http://127.0.0.1:${server.port}/healthz`)).status, 200)
    assert.strictEqual((await server.stop("SIGTERM")).code, 0)
  })
})

describe("the metrics", () => {
  it("are on the server's port with the token, and a short token is refused at the start", async () => {
    const short = await run(["serve", "--port", "0", "--json"], {
      cwd: freshFolder(),
      env: { SEALOG_METRICS_TOKEN: "short" }
    })
    assert.deepStrictEqual([short.code, errorOf(short).code], [2, "METRICS_TOKEN_INVALID"])
    const server = await serve([], { cwd: freshFolder(), env: { SEALOG_METRICS_TOKEN: token } })
    assert.strictEqual((await fetch(`http://127.0.0.1:${server.port}/metrics`)).status, 401)
    assert.include(await scrape(server.port), "# TYPE sealog_connections gauge")
    await server.stop("SIGTERM")
  })

  it("and traces need a ratio that is one, and a collector", async () => {
    const wrong = await run(["serve", "--port", "0", "--trace-ratio", "2", "--json"], { cwd: freshFolder() })
    assert.deepStrictEqual([wrong.code, errorOf(wrong).code], [2, "TRACE_RATIO_INVALID"])
    const nowhere = await run(["serve", "--port", "0", "--trace-ratio", "0.5", "--json"], { cwd: freshFolder() })
    assert.deepStrictEqual([nowhere.code, errorOf(nowhere).code], [2, "NO_COLLECTOR"])
  })

  it("go to an OpenTelemetry collector, if the variables name one", async () => {
    const bodies: Array<Buffer> = []
    const collector = createServer((request, response) => {
      const chunks: Array<Buffer> = []
      request.on("data", (chunk) => chunks.push(chunk))
      request.on("end", () => {
        if (request.url === "/v1/metrics") bodies.push(Buffer.concat(chunks))
        response.end()
      })
    })
    await new Promise<void>((resolve) => collector.listen(0, "127.0.0.1", resolve))
    const { port } = collector.address() as AddressInfo
    const server = await serve([], {
      cwd: freshFolder(),
      env: { OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${port}`, OTEL_METRIC_EXPORT_INTERVAL: "100" }
    })
    await eventually("metrics arrive", () => bodies.length > 1)
    const text = String(bodies.at(-1))
    assert.include(text, "sealog_connections")
    assert.include(text, "service.name")
    await server.stop("SIGTERM")
    collector.close()
  })
})
