/**
 * Counts the messages in a user's polls that the server refuses, over all polls. A connection is closed when it sends too many,
 * and each poll begins a new one.
 */
import { type BucketLimits, TokenBucket } from "../../internal/TokenBucket.ts"

/** Users that are remembered; the one with the oldest refusal is forgotten first. */
const MAX_USERS = 10_000

export class PollRefusals {
  private readonly limits: BucketLimits
  private readonly users = new Map<string, TokenBucket>()

  constructor(limits: BucketLimits) {
    this.limits = limits
  }

  /** Counts a refused message, and returns whether the user's poll may go on. `now`: milliseconds since 1970. */
  take({ libraryId, userId }: { readonly libraryId: string; readonly userId: string }, now: number): boolean {
    // Two libraries may give different people the same id.
    const user = `${libraryId}\n${userId}`
    const bucket = this.users.get(user) ?? new TokenBucket(this.limits, now)
    this.users.delete(user)
    this.users.set(user, bucket)
    if (this.users.size > MAX_USERS) this.users.delete(this.users.keys().next().value!)
    return bucket.take(now)
  }
}
