/** Tells when the process is about to run out of memory, so that it refuses and closes some clients rather than ends for all. */
import { constants, PerformanceObserver } from "node:perf_hooks"
import { getHeapStatistics } from "node:v8"
import { Effect, Predicate, type Scope } from "effect"

/** V8's limit includes the young generation, which holds no object for long. The old generation ends the process. */
const YOUNG_BYTES = 96 * 1024 * 1024
/** The part of the heap above which no further client is admitted. The clients that are connected need the rest. */
const FULL = 0.8
/** The part above which libraries are closed. Above it, V8 collects garbage nearly all the time. */
const CRITICAL = 0.85

interface Heap {
  readonly used: number
  readonly limit: number
}

const heap = (): Heap => {
  const { heap_size_limit, used_heap_size } = getHeapStatistics()
  return { used: used_heap_size, limit: heap_size_limit - YOUNG_BYTES }
}

/** The bytes of the heap: Node's `--max-old-space-size`, by default a part of the machine's memory. */
export const heapLimit = (): number => heap().limit

/** Whether the heap is nearly full. */
export const isMemoryShort = (): boolean => {
  const { limit, used } = heap()
  return used > limit * FULL
}

/**
 * Calls the listener with the bytes of the heap each time that a full garbage collection leaves it nearly full, until the
 * scope closes. Between collections, garbage counts as in use.
 */
export const onMemoryCritical = (listener: (used: number) => void): Effect.Effect<void, never, Scope.Scope> =>
  Effect.asVoid(
    Effect.acquireRelease(
      Effect.sync(() => {
        const observer = new PerformanceObserver((list) => {
          if (!list.getEntries().some(isFull)) return
          const { limit, used } = heap()
          if (used > limit * CRITICAL) listener(used)
        })
        observer.observe({ entryTypes: ["gc"] })
        return observer
      }),
      (observer) => Effect.sync(() => observer.disconnect())
    )
  )

const isFull = (entry: object): boolean =>
  "detail" in entry && Predicate.hasProperty(entry.detail, "kind") && entry.detail.kind === FULL_COLLECTION

const FULL_COLLECTION = constants.NODE_PERFORMANCE_GC_MAJOR
