/** The server of one process, as the flags of `serve` say: its storage, secrets, files, limits and routes. */
import { join } from "node:path"
import { type Access, FileLinks, JwtAccess, layerUntilPromoted, Signatures, SyncServer } from "@sealog/server"
import type { AdminAccess } from "@sealog/server/ports"
import { shareOf, type WorkerNumber } from "@sealog/server/workers"
import { Effect, Layer } from "effect"
import { blobStoreOf } from "../backends/blobStore.ts"
import { otlpLayers } from "../backends/otlp.ts"
import { redisSignals } from "../backends/redisSignals.ts"
import { type Backend, backendOf } from "../backends/storage.ts"
import type { makeDemo } from "../demo/demo.ts"
import { durationOf } from "../input/durations.ts"
import { listOf } from "../input/lists.ts"
import { metricsSettings } from "../input/metricsSettings.ts"
import { quotaOf } from "../input/quotas.ts"
import { scrubOf } from "../input/scrub.ts"
import { findLinkSecrets, type Secrets } from "../input/secrets.ts"
import { checkpointsOf } from "../input/serveCheckpoints.ts"
import type { ServeFlags } from "../input/serveFlags.ts"
import { verdantSettings } from "../input/serveSettings.ts"
import { tokenSettings } from "../input/tokenSettings.ts"
import { throwNoCollector, traceRatioOf } from "../input/traceSettings.ts"
import { connectionsOfAll } from "../input/workers.ts"
import { pageRoutes } from "../pages/pageRoutes.ts"
import type { joinAs } from "./worker.ts"

const MIB = 1024 * 1024

interface Surroundings {
  /** The secrets that verify tokens. */
  readonly secrets: Secrets
  /** undefined: the server is one process. */
  readonly worker: WorkerNumber | undefined
  readonly joined: ReturnType<typeof joinAs> | undefined
  /** undefined: the server is not in dev mode. */
  readonly demo: ReturnType<typeof makeDemo> | undefined
  /** The folder of the built web pages. */
  readonly pages: string
}

/** Fails if a setting is not valid. Nothing is opened before the layer on a port is built. */
export const serverOf = async (flags: ServeFlags, { demo, joined, pages, secrets, worker }: Surroundings) => {
  // One process of a server does what has to be done once.
  const isFirst = worker === undefined || worker.number === 1
  const linkSecrets = (flags.dev ? undefined : findLinkSecrets()) ?? secrets
  const tokens = tokenSettings(flags, secrets)
  // A port of its own is the parent's.
  const metrics = worker !== undefined && flags["metrics-port"] !== undefined ? {} : metricsSettings(flags)
  const sampleRatio = traceRatioOf(flags["trace-ratio"])
  const otlp = await otlpLayers(sampleRatio > 0)
  if (sampleRatio > 0 && otlp.traces === undefined) throwNoCollector()
  const quota = quotaOf(listOf(flags.quota))
  const given = flags["database-connections"]
  const databaseConnections = worker === undefined ? given : shareOf(connectionsOfAll(given, worker.count), worker)
  const backend = await backendOf(flags.database, databaseConnections)
  const log = backend.kind === "sqlite" || flags.migrate ? backend.migrated : backend.existing
  const storage = flags.signals === undefined ? log : Layer.provideMerge(await redisSignals(flags.signals), log)
  // One layer for clients and operators: it loads the public keys once.
  const access = JwtAccess.layerWithAdmin(tokens)
  const host = flags.host ?? (flags.dev ? "127.0.0.1" : undefined)
  const limits = limitsOf(flags, databaseConnections)
  const origins = listOf(flags.origin)
  const options = {
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
      flags.admin ? await adminApi(Layer.orDie(access), backend.size) : Layer.empty
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
  // The port of workers is their parent's.
  const door = (port: number) => (worker === undefined ? { host, port } : undefined)
  const layerOn = (port: number): Layer.Layer<SyncServer | Access, unknown> =>
    Layer.merge(SyncServer.layerWithServices({ ...options, port }), checkpoints).pipe(
      Layer.provideMerge(access),
      Layer.provide([fileLinks, blobs, otlp.traces ?? Layer.empty]),
      Layer.provide(joined?.layer(port) ?? Layer.empty),
      // All that uses the log is built after the wait, and the threads before.
      Layer.provide(flags["await-promotion"] ? layerUntilPromoted(door(port)) : Layer.empty),
      Layer.provide(Signatures.layerBeside(worker?.count ?? 1)),
      Layer.provide(storage),
      Layer.merge(otlp.metrics ?? Layer.empty)
    )
  return { backend, host, isFirst, layerOn }
}

const adminApi = async (access: Layer.Layer<AdminAccess>, diskBytes: Backend["size"]) => {
  const { adminRoutes } = await import("@sealog/server/admin/api")
  return adminRoutes(access, { diskBytes })
}

const limitsOf = (flags: ServeFlags, databaseConnections: number | undefined) => {
  const [frame, connections, memory] = [flags["max-frame"], flags["max-connections"], flags["message-memory"]]
  return {
    ...(frame === undefined ? {} : { maxFrameBytes: frame * MIB }),
    ...(connections === undefined ? {} : { maxConnections: connections }),
    ...(memory === undefined ? {} : { messageMemory: memory * MIB }),
    // Commits and the reads of served clients keep a fifth of the connections to the database, and one at least.
    ...(databaseConnections === undefined ? {} : { maxOpenings: Math.max(1, Math.floor(databaseConnections * 0.8)) })
  }
}
