/** What is taken together, bounded by number and bytes. */
export interface BatchLimits {
  readonly count: number
  /** A first that is larger than this is taken alone. */
  readonly bytes: number
}

/** Removes from the front of the queue what fits into one batch, and returns it; one at least, if there is any. */
export const takeBatch = <A>(queue: Array<A>, limits: BatchLimits, bytesOf: (item: A) => number): Array<A> => {
  let bytes = 0
  const end = queue.findIndex((item, i) => {
    bytes += bytesOf(item)
    return i > 0 && (i >= limits.count || bytes > limits.bytes)
  })
  return queue.splice(0, end === -1 ? queue.length : end)
}
