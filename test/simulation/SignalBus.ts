/** The transport of signals between simulated processes: texts come late, twice, out of order, or not at all. */
import type { Medium } from "@sealog/server/adapters/TransportSignals"
import { Deferred, Effect } from "effect"
import type { Random } from "../support/random.ts"
import type { VirtualTime } from "./VirtualTime.ts"

interface Listener {
  readonly process: number
  readonly onText: (text: string) => void
  readonly lost: Deferred.Deferred<never, string>
}

/** The longest time that a signal takes, in milliseconds. */
const MAX_DELAY = 40

export class SignalBus {
  private readonly listeners = new Set<Listener>()
  private readonly time: VirtualTime
  private readonly random: Random
  /** Of 1,000 texts, those that are lost, and those that come twice. */
  lost = 0
  doubled = 0

  constructor(time: VirtualTime, random: Random) {
    this.time = time
    this.random = random
  }

  /** Ends the connections of a process. It makes new ones. */
  cut(process: number): void {
    for (const { lost, process: of } of this.listeners) {
      if (of === process) Deferred.doneUnsafe(lost, Effect.fail("the simulation cut the connection"))
    }
  }

  /** The connection of a process. `run` runs an effect in the process, unless it is dead. */
  mediumOf(process: number, run: (effect: Effect.Effect<void>) => void): Medium {
    const { listeners } = this
    return {
      maxBytes: 7000,
      send: (texts) => Effect.sync(() => this.send(texts)),
      listen: (onListening, onText) =>
        Effect.gen({ self: this }, function* () {
          const lost = yield* Deferred.make<never, string>()
          const listener = { process, lost, onText: (text: string) => run(onText(text)) }
          yield* Effect.acquireRelease(
            Effect.sync(() => void listeners.add(listener)),
            () => Effect.sync(() => void listeners.delete(listener))
          )
          yield* onListening
          return yield* Deferred.await(lost)
        })
    }
  }

  private send(texts: ReadonlyArray<string>): void {
    const { random, time } = this
    for (const text of texts) {
      for (const listener of this.listeners) {
        if (random.next(1000) < this.lost) continue
        const copies = random.next(1000) < this.doubled ? 2 : 1
        for (let copy = 0; copy < copies; copy++) {
          time.after(random.next(MAX_DELAY), () => {
            if (this.listeners.has(listener)) listener.onText(text)
          })
        }
      }
    }
  }
}
