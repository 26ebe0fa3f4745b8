/**
 * The damage that this process has found in the log: bytes that have changed, or are gone. It is said once for each place, in
 * the server's log, by metrics, and by /healthz.
 */
import { Context, Effect, FiberSet, Layer } from "effect"
import * as Metrics from "../metrics/Metrics.ts"
import type { LogDamaged } from "../ports/EventLog.ts"

/** Places that are remembered. Further ones are counted, and not named. */
const MAX_PLACES = 1000

export class Damage extends Context.Service<
  Damage,
  {
    /** Takes note of damage that a read, an append or the scrub has met. */
    readonly report: (damage: LogDamaged) => void
    /** The number of damaged places that this process has found: streams, or files of the database. */
    readonly places: () => number
  }
>()("@sealog/server/Damage") {
  static readonly layer = Layer.effect(
    Damage,
    Effect.gen(function* () {
      const run = yield* FiberSet.makeRuntime<never>()
      const known = new Set<string>()
      const places = new Set<string>()
      yield* Metrics.damagedStreams.at({}).read(() => places.size)
      return Damage.of({
        places: () => places.size,
        report: (damage) => {
          const { cause, detail, libraryId, message, place, streamId, version } = damage
          if (known.has(message) || known.size >= MAX_PLACES) return
          known.add(message)
          places.add(place === undefined ? detail : `${libraryId}/${streamId}`)
          const fields = place === undefined ? {} : { library: libraryId, stream: streamId, version }
          const line = Effect.logError(`${message}. ${ADVICE}`, ...(cause === undefined ? [] : [cause]))
          run(Effect.annotateLogs(line, fields))
        }
      })
    })
  )
}

const ADVICE =
  "It is not served: clients that need it are closed with 1011. `sync-admin doctor` names all damage and what to do"
