/** Bounds the writes of one connection that wait for their commit, by number and by bytes: updates, and messages of operations. */
import { Effect } from "effect"
import type { SharedBytes } from "../internal/SharedBytes.ts"
import * as Metrics from "../metrics/Metrics.ts"

const MAX_WRITES = 128
const MAX_BYTES = 8 * 1024 * 1024
/** The same while the writes of all connections of the protocol are many. */
const FEW_BYTES = 64 * 1024
/** Bytes of all connections together above which they are many: two transactions of the committer. */
export const MANY_BYTES_IN_FLIGHT = 64 * 1024 * 1024

const delays = Metrics.framesDelayed.at({ cause: "updates_in_flight" })

export class InFlight {
  private readonly inFlightOfAll: SharedBytes
  private writes = 0
  private bytes = 0
  private waiters: Array<{ readonly condition: () => boolean; readonly resume: () => void }> | undefined

  constructor(inFlightOfAll: SharedBytes) {
    this.inFlightOfAll = inFlightOfAll
  }

  begin(bytes: number): void {
    this.writes += 1
    this.bytes += bytes
    this.inFlightOfAll.add(bytes)
  }

  end(bytes: number): void {
    this.writes -= 1
    this.bytes -= bytes
    this.inFlightOfAll.add(-bytes)
    if (this.waiters === undefined) return
    for (const { condition, resume } of this.waiters) if (condition()) resume()
    this.waiters = this.waiters.filter(({ condition }) => !condition())
  }

  /** Waits until one more write may begin. */
  get belowLimit(): Effect.Effect<void> {
    return Effect.suspend(() => {
      if (this.isBelowLimit()) return Effect.void
      delays.add()
      return this.until(() => this.isBelowLimit())
    })
  }

  /** Waits until no write is in flight. */
  get none(): Effect.Effect<void> {
    return this.until(() => this.writes === 0)
  }

  /** Whether one more write may begin. */
  isBelowLimit(): boolean {
    return this.writes < MAX_WRITES && this.bytes < (this.inFlightOfAll.isShort ? FEW_BYTES : MAX_BYTES)
  }

  private until(condition: () => boolean): Effect.Effect<void> {
    return Effect.suspend(() => {
      if (condition()) return Effect.void
      return Effect.callback<void>((resume) => {
        this.waiters ??= []
        this.waiters.push({ condition, resume: () => resume(Effect.void) })
      })
    })
  }
}
