/** The part of one worker in the limits of the whole server. */
import type { SocketLimits } from "../edge/Limits.ts"
import { defaultLimits } from "../edge/Limits.ts"

export interface WorkerNumber {
  /** From 1. */
  readonly number: number
  /** The number of workers. */
  readonly count: number
}

/** The parts of all workers together are `total`. */
export const shareOf = (total: number, { count, number }: WorkerNumber): number =>
  Math.floor(total / count) + (number <= total % count ? 1 : 0)

/** Every worker needs one at least, also if there are more workers than `total`. */
const someOf = (total: number, worker: WorkerNumber): number => Math.max(1, shareOf(total, worker))

/**
 * The limits of one worker, of those of the whole server. Two kinds are not divided: the parent counts the connections of each address
 * for all workers, and `messageMemory` depends on the heap, of which each process has its own, unless it is given.
 */
export const limitsOfWorker = (given: Partial<SocketLimits>, worker: WorkerNumber): Partial<SocketLimits> => {
  const limits = { ...defaultLimits, ...given }
  const { messageMemory } = given
  return {
    ...given,
    // The parent gives connections to another worker instead.
    maxConnections: shareOf(limits.maxConnections, worker),
    maxHandshakes: someOf(limits.maxHandshakes, worker),
    maxHandshakesPerAddress: someOf(limits.maxHandshakesPerAddress, worker),
    maxRequests: someOf(limits.maxRequests, worker),
    maxRequestsPerAddress: someOf(limits.maxRequestsPerAddress, worker),
    maxChangeStreams: someOf(limits.maxChangeStreams, worker),
    maxChangeStreamsPerLibrary: someOf(limits.maxChangeStreamsPerLibrary, worker),
    maxWaitingOpenings: someOf(limits.maxWaitingOpenings, worker),
    ...(messageMemory === undefined ? {} : { messageMemory: someOf(messageMemory, worker) })
  }
}
