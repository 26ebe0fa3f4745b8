import { join } from "node:path"
import { Flags, type Interfaces } from "@oclif/core"
import { BaseCommand } from "../BaseCommand.ts"
import { durationOf } from "../input/durations.ts"
import { listOf } from "../input/lists.ts"
import { metricsFlags, metricsSettings } from "../input/metricsSettings.ts"
import { checkpointFlags, checkpointsOf } from "../input/serveCheckpoints.ts"
import { exportedFlags, exportFlags, verdantFlags, verdantSettings } from "../input/serveSettings.ts"
import { tokenFlags } from "../input/tokenSettings.ts"
import { throwNoCollector, traceFlags, traceRatioOf } from "../input/traceSettings.ts"
import { connectionsOfAll, workerFlags, workerOf, workersOf } from "../input/workers.ts"
import { CliFailure } from "../output/CliFailure.ts"
import { hostInUrl, settingsOf } from "../serve/serverStarted.ts"

const MIB = 1024 * 1024
const LOG_LEVELS = ["trace", "debug", "info", "warning", "error", "none"] as const
const LOG_FORMATS = ["logfmt", "json", "pretty"] as const

interface ServeResult {
  readonly port: number
  readonly dev: boolean
}

type ServeFlags = Interfaces.InferredFlags<typeof Serve.flags & typeof BaseCommand.baseFlags>

export default class Serve extends BaseCommand<ServeResult> {
  static override summary = "Run the server."
  static override description =
    `Set TOKEN_SECRET or TOKEN_SECRET_FILE, or --token-jwks for tokens that another system signs with private keys. Links to files are signed with LINK_SECRET or LINK_SECRET_FILE (default: the token secrets). A SQLite database is migrated at the start; Postgres only with --migrate, which needs the owner of the tables. One server can use a SQLite database, any number of servers a Postgres database.

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
  static override flags = {
    port: Flags.integer({
      description: "port to listen on; 0 chooses a free port",
      env: "SEALOG_PORT",
      default: 4000,
      min: 0,
      max: 65_535
    }),
    host: Flags.string({
      description: "address to listen on (default: all addresses; with --dev 127.0.0.1)",
      env: "SEALOG_HOST"
    }),
    ...workerFlags,
    migrate: Flags.boolean({
      description: "migrate a Postgres database first (SQLite: always)",
      env: "SEALOG_MIGRATE",
      default: false
    }),
    signals: Flags.string({
      description: "Redis that carries signals between servers: redis://… (default: the database carries them)",
      env: "SEALOG_SIGNALS"
    }),
    files: Flags.string({
      description: "where to keep uploaded files: a directory, or s3 (configured by S3_… variables)",
      env: "SEALOG_FILES",
      default: "./data/files"
    }),
    "max-frame": Flags.integer({
      description: "largest message of a client in MiB; a snapshot is one message (default: 32)",
      env: "SEALOG_MAX_FRAME",
      min: 1,
      max: 256
    }),
    "max-connections": Flags.integer({
      description: "most WebSockets at a time; more are refused (default: 10,000)",
      env: "SEALOG_MAX_CONNECTIONS",
      min: 1
    }),
    "database-connections": Flags.integer({
      description: "most connections to Postgres, and one more for signals (default: 10)",
      env: "SEALOG_DATABASE_CONNECTIONS",
      min: 1
    }),
    "message-memory": Flags.integer({
      description:
        "memory for large messages that arrive, and as much for what clients have not taken, in MiB (default: a quarter of the heap, at most 256)",
      env: "SEALOG_MESSAGE_MEMORY",
      min: 1
    }),
    ...checkpointFlags,
    scrub: Flags.string({
      description:
        "how much of the log is compared with its hashes in a second while the server runs, to find damage: 512KiB, 4MiB, off (default: 1MiB)",
      env: "SEALOG_SCRUB"
    }),
    canary: Flags.string({
      description:
        "how often the server writes to a document of its own, by which the metrics know the lag from one end to the other: 30s, 5m; the log keeps each write (default: never)",
      env: "SEALOG_CANARY"
    }),
    "create-documents": Flags.boolean({
      description:
        "let clients make Secsync documents; with --no-create-documents, `sync-admin document create` or the app makes them",
      env: "SEALOG_CREATE_DOCUMENTS",
      default: true,
      allowNo: true
    }),
    "keys-per-user": Flags.integer({
      description:
        "bind each user of a library to so many Secsync signing keys, those that the server sees first (default: any keys)",
      env: "SEALOG_KEYS_PER_USER",
      min: 1,
      max: 100
    }),
    "secsync-path": Flags.string({
      description:
        "path of Secsync documents: with /sync, the websocketEndpoint is wss://HOST/sync (default: none, and the whole path is a document's id)",
      env: "SEALOG_SECSYNC_PATH"
    }),
    quota: Flags.string({
      description:
        "a part of the quota of every library, such as objects=50000 or bytes=32MiB; `sync-admin library quota` sets other ones for single libraries",
      env: "SEALOG_QUOTA",
      multiple: true
    }),
    "trusted-proxy": Flags.string({
      description:
        "address or range (10.0.0.0/8) of proxies whose X-Forwarded-For names the clients, for the limits of one address (can be repeated)",
      env: "SEALOG_TRUSTED_PROXIES",
      multiple: true
    }),
    origin: Flags.string({
      description:
        "origin of a web app that may use the server, such as https://app.example.org, and of the server itself: other pages and other Host headers are refused (can be repeated; default: all)",
      env: "SEALOG_ORIGINS",
      multiple: true
    }),
    webhooks: Flags.boolean({
      description:
        "deliver changes to the webhooks in the log; --no-webhooks for a copy of a log, whose receivers the original serves",
      env: "SEALOG_WEBHOOKS",
      default: true,
      allowNo: true
    }),
    ...exportedFlags,
    ...verdantFlags,
    ...tokenFlags,
    ...metricsFlags,
    ...traceFlags,
    "log-level": Flags.option({ options: LOG_LEVELS })({
      description: "least severe log lines to write",
      env: "LOG_LEVEL",
      default: "info"
    }),
    "log-format": Flags.option({ options: LOG_FORMATS })({
      description: "format of the log lines",
      env: "LOG_FORMAT",
      default: "logfmt"
    }),
    admin: Flags.boolean({
      description:
        "serve the page of operators at /admin and their HTTP API at /admin/api, for tokens of `sync-admin token mint --admin`",
      env: "SEALOG_ADMIN",
      default: false
    }),
    dev: Flags.boolean({
      description: "for development only: make a secret, print a URL and a token, return tokens without authentication",
      default: false
    })
  }

  async run(): Promise<ServeResult> {
    const { flags } = await this.parse(Serve)
    exportFlags(flags)
    const worker = workerOf(process.env)
    const count = worker?.count ?? workersOf(flags)
    if (worker === undefined && count > 1) return this.runParent(flags, count)
    const joined = worker && (await import("../serve/worker.ts")).joinAs(worker)
    // One process of a server does what has to be done once.
    const isFirst = worker === undefined || worker.number === 1
    const { DEV_SECRET, devSecrets, findLinkSecrets, findTokenSecrets, throwNoSecret } = await import(
      "../input/secrets.ts"
    )
    const secrets = (flags.dev ? devSecrets(DEV_SECRET) : findTokenSecrets()) ?? []
    const linkSecrets = (flags.dev ? undefined : findLinkSecrets()) ?? secrets
    const { tokenSettings } = await import("../input/tokenSettings.ts")
    const tokens = tokenSettings(flags, secrets)
    if (secrets.length === 0 && tokens.jwks === undefined) throwNoSecret()
    const { Access, FileLinks, JwtAccess, Signatures, SyncServer } = await import("@sealog/server")
    const Context = await import("effect/Context")
    const Duration = await import("effect/Duration")
    const Effect = await import("effect/Effect")
    const Layer = await import("effect/Layer")
    // A port of its own is the parent's.
    const metrics = worker !== undefined && flags["metrics-port"] !== undefined ? {} : metricsSettings(flags)
    const sampleRatio = traceRatioOf(flags["trace-ratio"])
    const otlp = await (await import("../backends/otlp.ts")).otlpLayers(sampleRatio > 0)
    if (sampleRatio > 0 && otlp.traces === undefined) throwNoCollector()
    const { backendOf } = await import("../backends/storage.ts")
    const { blobStoreOf } = await import("../backends/blobStore.ts")
    const { quotaOf } = await import("../input/quotas.ts")
    const { scrubOf } = await import("../input/scrub.ts")
    const { pageRoutes } = await import("../pages/pageRoutes.ts")
    const { shareOf } = await import("@sealog/server/workers")
    const pages = join(this.config.root, "pages")
    const demo = flags.dev ? (await import("../demo/demo.ts")).makeDemo(join(pages, "notebook")) : undefined
    const quota = quotaOf(listOf(flags.quota))
    const given = flags["database-connections"]
    const databaseConnections = worker === undefined ? given : shareOf(connectionsOfAll(given, count), worker)
    const backend = await backendOf(flags.database, databaseConnections)
    const log = backend.kind === "sqlite" || flags.migrate ? backend.migrated : backend.existing
    const storage = flags.signals === undefined ? log : Layer.provideMerge(await redisSignals(flags.signals), log)
    // One layer for clients and operators: it loads the public keys once.
    const access = JwtAccess.layerWithAdmin(tokens)
    const host = flags.host ?? (flags.dev ? "127.0.0.1" : undefined)
    const [frame, connections, memory] = [flags["max-frame"], flags["max-connections"], flags["message-memory"]]
    const origins = listOf(flags.origin)
    const limits = {
      ...(frame === undefined ? {} : { maxFrameBytes: frame * MIB }),
      ...(connections === undefined ? {} : { maxConnections: connections }),
      ...(memory === undefined ? {} : { messageMemory: memory * MIB }),
      ...openingsFor(databaseConnections)
    }
    const options = {
      port: flags.port,
      quota,
      metrics,
      traces: { sampleRatio },
      ...(flags.canary === undefined || !isFirst ? {} : { canary: { every: durationOf(flags.canary) } }),
      webhooks: { deliver: flags.webhooks },
      ...(isFirst ? {} : { scrub: { bytesPerSecond: 0 } }),
      ...(flags.scrub === undefined || !isFirst ? {} : { scrub: scrubOf(flags.scrub) }),
      ...verdantSettings(flags),
      limits: joined === undefined ? limits : joined.limits(limits),
      ...(host === undefined ? {} : { host }),
      secsync: {
        createDocuments: flags["create-documents"],
        ...(flags["secsync-path"] === undefined ? {} : { path: flags["secsync-path"] }),
        ...(flags["keys-per-user"] === undefined ? {} : { keysPerUser: flags["keys-per-user"] })
      },
      trustedProxies: listOf(flags["trusted-proxy"]),
      ...(flags.dev ? { origins: "this-machine" as const } : origins.length > 0 ? { origins } : {}),
      routes: Layer.mergeAll(
        demo?.routes ?? Layer.empty,
        flags.admin ? pageRoutes({ folder: join(pages, "admin"), path: "/admin" }) : Layer.empty,
        flags.admin
          ? (await import("@sealog/server/admin/api")).adminRoutes(Layer.orDie(access), { diskBytes: backend.size })
          : Layer.empty
      )
    }
    const fileLinks =
      linkSecrets.length === 0
        ? Layer.effectDiscard(
            Effect.logWarning("Files are not served: set LINK_SECRET (32 bytes or more) to sign the links to them.")
          )
        : FileLinks.layerTokens(linkSecrets.map(({ secret }) => secret))
    const checkpoints = isFirst ? await checkpointsOf(flags) : Layer.empty
    const blobs = await blobStoreOf(flags.files)
    const layerOn = (port: number) =>
      Layer.merge(SyncServer.layerWithServices({ ...options, port }), checkpoints).pipe(
        Layer.provideMerge(access),
        Layer.provide([fileLinks, blobs, otlp.traces ?? Layer.empty, Signatures.layerBeside(count)]),
        Layer.provide(joined?.layer(port) ?? Layer.empty),
        Layer.provide(storage)
      )
    const { isDistributed = Effect.succeed(false) } = backend
    let port = flags.port
    const running = Effect.gen({ self: this }, function* () {
      yield* Effect.addFinalizer(() => Effect.logInfo("server stopped"))
      const layer = layerOn(port)
      const services = yield* Layer.build(otlp.metrics === undefined ? layer : Layer.merge(layer, otlp.metrics))
      const { metricsPort } = Context.get(services, SyncServer)
      port = Context.get(services, SyncServer).port
      const url = `ws://${hostInUrl(host)}:${port}`
      if (joined !== undefined) yield* Effect.logInfo("worker started")
      else {
        if (demo === undefined) this.announce(`Listening on ${url}, log in ${backend.label}`)
        else if (demo.isFirstStart()) {
          const request = { userId: "dev", libraryId: demo.library, expiresIn: Duration.days(30) }
          const token = yield* Context.get(services, Access).mint(request)
          this.announce(devText(url, demo.library, token, backend.label))
        }
        const settings = settingsOf(flags, { port, "metrics-port": metricsPort, database: backend.label })
        yield* Effect.annotateLogs(Effect.logInfo("server started"), settings)
      }
      if (isFirst && flags.signals === undefined && (yield* Effect.orElseSucceed(isDistributed, () => false))) {
        yield* Effect.logWarning(NO_SIGNALS_BETWEEN_NODES)
      }
      return yield* Effect.onInterrupt(Effect.never, () => Effect.logInfo("server stops"))
    })
    const { layerLog } = await import("../output/logger.ts")
    const lines = layerLog({ format: flags["log-format"], level: flags["log-level"], levels: joined?.levels })
    const serving = demo?.withRestarts(Effect.scoped(running)) ?? Effect.scoped(running)
    await this.executeUntilStopped(Effect.provide(joined?.run(serving) ?? serving, lines))
    return { port, dev: flags.dev }
  }

  /** Runs no server itself, but the processes that do. */
  private async runParent(flags: ServeFlags, count: number): Promise<ServeResult> {
    const { serveByWorkers } = await import("../serve/serveByWorkers.ts")
    const { layerLog } = await import("../output/logger.ts")
    const { provide } = await import("effect/Effect")
    const { withoutCredentials } = await import("../input/databaseUrl.ts")
    let { port } = flags
    const [connections, path] = [flags["max-connections"], flags["secsync-path"]]
    const serving = serveByWorkers({
      ...{ flags, count, port },
      ...(flags.host === undefined ? {} : { host: flags.host }),
      ...(path === undefined ? {} : { secsyncPath: path }),
      limits: connections === undefined ? {} : { maxConnections: connections },
      trustedProxies: listOf(flags["trusted-proxy"]),
      metrics: flags["metrics-port"] === undefined ? {} : metricsSettings(flags),
      database: withoutCredentials(flags.database),
      announce: (line) => this.announce(line),
      listening: (found) => {
        port = found
      }
    })
    const lines = layerLog({ format: flags["log-format"], level: flags["log-level"] })
    await this.executeUntilStopped(provide(serving, lines))
    return { port, dev: false }
  }
}

const redisSignals = async (url: string) => {
  if (!/^rediss?:\/\//.test(url) || !URL.canParse(url)) {
    throw new CliFailure({
      code: "SIGNALS_URL_INVALID",
      // The message leaves out the URL, which may hold a password.
      message: "The URL in --signals does not have the form redis://USER:PASSWORD@HOST:PORT.",
      exitCode: 2,
      tryThis: "--signals redis://localhost:6379, or leave out --signals (and SEALOG_SIGNALS)"
    })
  }
  const [{ RedisSignals }, Redacted] = await Promise.all([import("@sealog/server/adapters"), import("effect/Redacted")])
  return RedisSignals.layer({ url: Redacted.make(url) })
}

const NO_SIGNALS_BETWEEN_NODES =
  "The log is distributed, and NOTIFY does not cross the nodes of a Citus cluster. Servers that connect to different nodes hear of " +
  "each other's changes up to five seconds later: give them --signals redis://…"

const devText = (
  url: string,
  library: string,
  token: string,
  database: string
): string => `Sealog is running, log in ${database}

Open ${url.replace("ws", "http")}/ in a browser: a notebook that the server cannot read, and what the server sees of it.

  websocketEndpoint    ${url}
  websocketSessionKey  ${token}

Sync a document with it, in two terminals:

  npx -y pnpm@12.21.0 exec node examples/secsync-client.ts ${url} my-document ${token}

Or sync a Verdant app with it. The endpoint returns a token for any library and user:

  sync: {
    authEndpoint: "${url.replace("ws", "http")}/auth/${library}?user=ada",
    initialPresence: {},
    defaultProfile: {}
  }

Look into the log:

  npx -y pnpm@12.21.0 exec sync-admin library list

The token grants access to the library "${library}" for 30 days. Stop with Ctrl-C.`

/** Commits and the reads of served clients keep a fifth of the connections to the database, and one at least. */
const openingsFor = (connections: number | undefined) =>
  connections === undefined ? {} : { maxOpenings: Math.max(1, Math.floor(connections * 0.8)) }
