/** The flags of `serve`, each with its variable, which also names its key in `sealog.toml`. */
import * as Flags from "@oclif/core/flags"
import type * as Interfaces from "@oclif/core/interfaces"
import type { BaseCommand } from "../BaseCommand.ts"
import { metricsFlags } from "./metricsSettings.ts"
import { checkpointFlags } from "./serveCheckpoints.ts"
import { exportedFlags, verdantFlags } from "./serveSettings.ts"
import { tokenFlags } from "./tokenSettings.ts"
import { traceFlags } from "./traceSettings.ts"
import { workerFlags } from "./workers.ts"

/** The unit of a number, in the help and in `config`. */
const MIB = "<MiB>"

const LOG_LEVELS = ["trace", "debug", "info", "warning", "error", "none"] as const
const LOG_FORMATS = ["logfmt", "json", "pretty"] as const

export const serveFlags = {
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
  "await-promotion": Flags.boolean({
    description: "on a standby, wait until it is promoted, and then serve (default: refuse to start on a standby)",
    env: "SEALOG_AWAIT_PROMOTION",
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
    description: "largest message of a client; a snapshot is one message (default: 32 MiB)",
    helpValue: MIB,
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
      "memory for large messages that arrive, and as much for what clients have not taken (default: a quarter of the heap, at most 256 MiB)",
    helpValue: MIB,
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
      "how often the server writes to a document of its own, by which the metrics know the lag from one end to the other: 30s, 5m; the log keeps each write (default: only after a failed commit, until one succeeds)",
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

/** Their values, with those that all commands have. */
export type ServeFlags = Interfaces.InferredFlags<typeof serveFlags & typeof BaseCommand.baseFlags>
