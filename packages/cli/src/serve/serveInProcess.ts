/** `serve` in this process: alone, or as a worker of the parent that started it. */
import { join } from "node:path"
import { Access, SyncServer } from "@sealog/server"
import type { WorkerNumber } from "@sealog/server/workers"
import { Context, Duration, Effect, Layer } from "effect"
import type { Secrets } from "../input/secrets.ts"
import type { ServeFlags } from "../input/serveFlags.ts"
import { layerLog } from "../output/logger.ts"
import { serverOf } from "./serverOf.ts"
import { devText, hostInUrl, listeningText, type StartReport, settingsOf } from "./serverStarted.ts"
import { joinAs } from "./worker.ts"

const NO_SIGNALS_BETWEEN_NODES =
  "The log is distributed, and NOTIFY does not cross the nodes of a Citus cluster. Servers that connect to different nodes hear of " +
  "each other's changes up to five seconds later: give them --signals redis://…"

/** Serves until it is interrupted. `pages`: the folder of the built web pages. */
export const serveInProcess = async (
  flags: ServeFlags,
  secrets: Secrets,
  worker: WorkerNumber | undefined,
  pages: string,
  { announce, listening }: StartReport
): Promise<Effect.Effect<void, unknown>> => {
  const joined = worker && joinAs(worker)
  const demo = flags.dev ? (await import("../demo/demo.ts")).makeDemo(join(pages, "notebook")) : undefined
  const { backend, host, isFirst, layerOn } = await serverOf(flags, { secrets, worker, joined, demo, pages })
  const { isDistributed = Effect.succeed(false), label } = backend
  let port = flags.port
  const running = Effect.gen(function* () {
    yield* Effect.addFinalizer(() => Effect.logInfo("server stopped"))
    const services = yield* Layer.build(layerOn(port))
    const server = Context.get(services, SyncServer)
    // A restart of dev mode takes the same port.
    port = server.port
    listening(port)
    const url = `ws://${hostInUrl(host)}:${port}`
    if (joined !== undefined) yield* Effect.logInfo("worker started")
    else {
      if (demo === undefined) announce(listeningText(url, label, flags.admin))
      else if (demo.isFirstStart()) {
        const request = { userId: "dev", libraryId: demo.library, expiresIn: Duration.days(30) }
        const token = yield* Context.get(services, Access).mint(request)
        announce(devText(url, demo.library, token, label))
      }
      const settings = settingsOf(flags, { port, "metrics-port": server.metricsPort, database: label })
      yield* Effect.annotateLogs(Effect.logInfo("server started"), settings)
    }
    if (isFirst && flags.signals === undefined && (yield* Effect.orElseSucceed(isDistributed, () => false))) {
      yield* Effect.logWarning(NO_SIGNALS_BETWEEN_NODES)
    }
    return yield* Effect.onInterrupt(Effect.never, () => Effect.logInfo("server stops"))
  })
  const serving = demo?.withRestarts(Effect.scoped(running)) ?? Effect.scoped(running)
  const lines = layerLog({ format: flags["log-format"], level: flags["log-level"], levels: joined?.levels })
  return Effect.provide(joined?.run(serving) ?? serving, lines)
}
