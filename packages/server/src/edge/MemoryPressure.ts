/** Tells when the process is about to run out of memory, so that it refuses new clients rather than ends for all. */
import { getHeapStatistics } from "node:v8"

/** V8's limit includes the young generation, which holds no object for long. The old generation ends the process. */
const YOUNG_BYTES = 96 * 1024 * 1024
/** The part of the heap above which no further client is admitted. The clients that are connected need the rest. */
const FULL = 0.8

/** Whether the heap is nearly full. Its limit is Node's `--max-old-space-size`, by default a part of the machine's memory. */
export const isMemoryShort = (): boolean => {
  const { heap_size_limit, used_heap_size } = getHeapStatistics()
  return used_heap_size > (heap_size_limit - YOUNG_BYTES) * FULL
}
