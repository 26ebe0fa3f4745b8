/** A token bucket: allows a rate on average, and a burst above it. */
export interface BucketLimits {
  /** Tokens that come back in a second. */
  readonly perSecond: number
  /** The most tokens that the bucket holds. It starts full. */
  readonly burst: number
}

export class TokenBucket {
  private readonly limits: BucketLimits
  private tokens: number
  private filledAt: number

  /** `now`: milliseconds since 1970. */
  constructor(limits: BucketLimits, now: number) {
    this.limits = limits
    this.tokens = limits.burst
    this.filledAt = now
  }

  /** Takes a token, and returns whether there was one. */
  take(now: number): boolean {
    const { burst, perSecond } = this.limits
    const passed = Math.max(0, now - this.filledAt) / 1000
    this.tokens = Math.min(burst, this.tokens + passed * perSecond)
    this.filledAt = now
    if (this.tokens < 1) return false
    this.tokens -= 1
    return true
  }
}
