/** Updates of one connection that wait for their commit: how many, and their bytes. */
import { Effect } from "effect"

const MAX_UPDATES = 128
const MAX_BYTES = 8 * 1024 * 1024

export class InFlight {
  private updates = 0
  private bytes = 0
  private watchers: Array<{ readonly isSo: () => boolean; readonly resume: () => void }> | undefined

  begin(bytes: number): void {
    this.updates += 1
    this.bytes += bytes
  }

  end(bytes: number): void {
    this.updates -= 1
    this.bytes -= bytes
    if (this.watchers === undefined) return
    for (const { isSo, resume } of this.watchers) if (isSo()) resume()
    this.watchers = this.watchers.filter(({ isSo }) => !isSo())
  }

  /** Waits until there may be one more. */
  get belowLimit(): Effect.Effect<void> {
    return this.until(() => this.updates < MAX_UPDATES && this.bytes < MAX_BYTES)
  }

  /** Waits until there is none. */
  get none(): Effect.Effect<void> {
    return this.until(() => this.updates === 0)
  }

  private until(isSo: () => boolean): Effect.Effect<void> {
    return Effect.suspend(() => {
      if (isSo()) return Effect.void
      return Effect.callback<void>((resume) => {
        this.watchers ??= []
        this.watchers.push({ isSo, resume: () => resume(Effect.void) })
      })
    })
  }
}
