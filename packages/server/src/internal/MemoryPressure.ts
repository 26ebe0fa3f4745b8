/** Tells when the process is about to run out of memory, so that it refuses and closes some clients rather than ends for all. */
import { constants, PerformanceObserver } from "node:perf_hooks"
import { getHeapSpaceStatistics, getHeapStatistics } from "node:v8"
import { Effect, Predicate, type Scope } from "effect"

/** V8's limit includes the young generation. */
const YOUNG_BYTES = 96 * 1024 * 1024
/** The spaces of the young generation. A full collection empties them, and new objects fill them again at once. */
const YOUNG_SPACES: ReadonlySet<string> = new Set(["new_space", "new_large_object_space"])
/** The part of the heap above which no further client is admitted. The clients that are connected need the rest. */
const FULL = 0.8
/** The part above which libraries are closed. Above it, V8 collects garbage nearly all the time. */
const CRITICAL = 0.85

/** The bytes of the heap: Node's `--max-old-space-size`, by default a part of the machine's memory. */
export const heapLimit = (): number => getHeapStatistics().heap_size_limit - YOUNG_BYTES

/** The bytes that the old generation holds. It ends the process once it is full. */
const oldBytes = (): number =>
  getHeapSpaceStatistics()
    .filter(({ space_name }) => !YOUNG_SPACES.has(space_name))
    .reduce((sum, { space_used_size }) => sum + space_used_size, 0)

/** Bytes of the heap that are not in use. Garbage counts as in use until it is collected. */
export const freeMemory = (): number => heapLimit() - getHeapStatistics().used_heap_size

/** Whether the heap is nearly full. The young generation counts, since all of it may turn old. */
export const isMemoryShort = (): boolean => getHeapStatistics().used_heap_size > heapLimit() * FULL

export interface CriticalMemory {
  /** Bytes of the heap. */
  readonly used: number
  /** The bytes without which it would not be full. */
  readonly excess: number
  /**
   * The full collection before found the heap nearly full, too. A single one may count what a message needs while it is parsed.
   */
  readonly isLasting: boolean
}

/**
 * Calls the listener each time that a full garbage collection leaves the heap nearly full, until the scope closes. Between
 * collections, garbage counts as in use.
 */
export const onMemoryCritical = (listener: (memory: CriticalMemory) => void): Effect.Effect<void, never, Scope.Scope> =>
  Effect.asVoid(
    Effect.acquireRelease(
      Effect.sync(() => {
        let isLasting = false
        const observer = new PerformanceObserver((list) => {
          if (!list.getEntries().some(isFull)) return
          const [used, limit] = [oldBytes(), heapLimit()]
          const isCritical = used > limit * CRITICAL
          if (isCritical) listener({ used, excess: used - limit * FULL, isLasting })
          isLasting = isCritical
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
