/** What one connection was told of, and which of it the client has said to have: it acknowledges by timestamps, in order. */

/** Messages that a client may leave unacknowledged before older ones are forgotten. */
const MAX_OUTSTANDING = 10_000

export class Acknowledgements {
  private outstanding: Array<{ readonly timestamp: string; readonly version: number }> = []
  private last = 0

  /** It was sent an answer with everything up to here, which it acknowledges in another way. */
  begin(version: number): void {
    this.outstanding = []
    this.last = version
  }

  /** It was told of this version, and will acknowledge it with the timestamp; undefined: there was nothing for it. */
  told(version: number, timestamp: string | undefined): void {
    this.last = version
    if (timestamp === undefined) return
    this.outstanding.push({ timestamp, version })
    if (this.outstanding.length > MAX_OUTSTANDING) this.outstanding.shift()
  }

  /** Whether it has said to have all that it was told. */
  get isSettled(): boolean {
    return this.outstanding.length === 0
  }

  /** Up to which version it has all that it was told; undefined: that is no news. */
  acknowledge(timestamp: string): number | undefined {
    const found = this.outstanding.findIndex((told) => told.timestamp === timestamp)
    if (found === -1) return undefined
    this.outstanding.splice(0, found + 1)
    const next = this.outstanding[0]
    return next === undefined ? this.last : next.version - 1
  }
}
