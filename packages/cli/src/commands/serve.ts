import { join } from "node:path"
import { BaseCommand } from "../BaseCommand.ts"
import { serveFlags } from "../input/serveFlags.ts"
import { exportFlags } from "../input/serveSettings.ts"
import { workerOf, workersOf } from "../input/workers.ts"

interface ServeResult {
  readonly port: number
  readonly dev: boolean
}

export default class Serve extends BaseCommand<ServeResult> {
  static override summary = "Run the server."
  static override description =
    `Set TOKEN_SECRET or TOKEN_SECRET_FILE, or --token-jwks for tokens that another system signs with private keys. Links to files are signed with LINK_SECRET or LINK_SECRET_FILE (default: the token secrets). A SQLite database is migrated at the start; Postgres only with --migrate, which needs the owner of the tables. One server can use a SQLite database, any number of servers a Postgres database. On a standby the server does not start; with --await-promotion it waits until the standby is promoted, answers /readyz with 503 until then, and opens at once.

With --workers several processes serve the port, on Postgres: all connections of a document or library go to one of them, one that ends is started again, and health, metrics and limits are those of all together.

On SIGINT or SIGTERM the server accepts no more connections, commits and answers the changes that it has received, and ends.

With --dev the server makes a secret, listens on this machine only, answers only pages of this machine (localhost), shows a page that tries it out, prints how to connect, and returns a token to every request for GET /auth/LIBRARY?user=USER&type=TYPE. It does not use TOKEN_SECRET or --origin, and no other server accepts its tokens. Never use --dev in production.

Log lines go to stderr. --log-level debug adds a line for each connection, refusal and stage of a frame. SIGUSR2 changes the level to debug while the server runs, and a second one back.

With --metrics-port, or with a token in SEALOG_METRICS_TOKEN, the server serves metrics for Prometheus. With OTEL_EXPORTER_OTLP_ENDPOINT it sends them to an OpenTelemetry collector, and with --trace-ratio also the traces of frames.`
  static override examples = [
    "<%= config.bin %> serve --dev",
    "<%= config.bin %> serve --port 8080 --database sqlite:/var/lib/sealog/log.db",
    "<%= config.bin %> serve --database postgres://sealog_server@localhost/sealog --signals redis://localhost"
  ]
  static override flags = serveFlags

  async run(): Promise<ServeResult> {
    const { flags } = await this.parse(Serve)
    exportFlags(flags)
    const worker = workerOf(process.env)
    const count = worker?.count ?? workersOf(flags)
    // Before the server is loaded, and before workers are started that would end at once.
    const secrets = (await import("../input/secrets.ts")).serverSecrets(flags)
    let { port } = flags
    const listening = (found: number) => {
      port = found
    }
    const report = { announce: (line: string) => this.announce(line), listening }
    if (worker === undefined && count > 1) {
      const { serveByWorkers } = await import("../serve/serveByWorkers.ts")
      await this.executeUntilStopped(serveByWorkers(flags, count, report))
    } else {
      const { serveInProcess } = await import("../serve/serveInProcess.ts")
      await this.executeUntilStopped(
        await serveInProcess(flags, secrets, worker, join(this.config.root, "pages"), report)
      )
    }
    return { port, dev: flags.dev }
  }
}
