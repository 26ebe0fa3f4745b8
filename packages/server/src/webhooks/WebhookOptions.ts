/** The settings of webhooks. */
import { Duration } from "effect"

export interface WebhookOptions {
  /**
   * Whether this server delivers. Default: true. A server on a copy of a log, for tests for example, would deliver to the
   * receivers of the original.
   */
  readonly deliver: boolean
  /** Time for the answer of a receiver. Default: 15 seconds. Later, the attempt has failed. */
  readonly timeout: Duration.Input
  /**
   * Attempts to deliver a change. Default: 10, in about a day. After the last one the library's changes wait until an operator
   * runs `sync-admin webhook replay`.
   */
  readonly attempts: number
  /** Wait after the first failed attempt; each next wait is four times as long, give or take a fifth. Default: 5 seconds. */
  readonly firstRetry: Duration.Input
  /** Longest wait between two attempts. Default: 8 hours. */
  readonly maxRetry: Duration.Input
  /** Deliveries of a webhook at a time, each of another library. Default: 8. */
  readonly concurrency: number
  /**
   * Time for which a process has a webhook to itself, more than twice `timeout`. Default: 60 seconds. When the process dies,
   * another one goes on after that.
   */
  readonly lease: Duration.Input
  /**
   * Time until a delivery is recorded in the log, so that many share one event. Default: 5 seconds. If the process dies before,
   * the changes are delivered once more.
   */
  readonly recordEvery: Duration.Input
}

export const defaultWebhookOptions: WebhookOptions = {
  deliver: true,
  timeout: "15 seconds",
  attempts: 10,
  firstRetry: "5 seconds",
  maxRetry: "8 hours",
  concurrency: 8,
  lease: "60 seconds",
  recordEvery: "5 seconds"
}

/** The wait after a number of failed attempts, in milliseconds. `random`: 0 to 1. */
export const retryDelay = (
  { firstRetry, maxRetry }: Pick<WebhookOptions, "firstRetry" | "maxRetry">,
  failed: number,
  random: number
): number => {
  const [first, max] = [millisOf(firstRetry), millisOf(maxRetry)]
  return Math.min(max, first * 4 ** (failed - 1)) * (0.8 + 0.4 * random)
}

export const millisOf = (duration: Duration.Input): number => Duration.toMillis(Duration.fromInputUnsafe(duration))
