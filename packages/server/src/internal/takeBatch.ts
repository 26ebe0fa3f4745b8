/** The limits of one batch. */
export interface BatchLimits {
  readonly count: number
  /** A first item that is larger than this is a batch of its own. */
  readonly bytes: number
}

/** Removes the items from the front of the queue that fit into one batch: at least one, unless the queue is empty. */
export const takeBatch = <A>(queue: Array<A>, limits: BatchLimits, bytesOf: (item: A) => number): Array<A> => {
  let bytes = 0
  const end = queue.findIndex((item, i) => {
    bytes += bytesOf(item)
    return i > 0 && (i >= limits.count || bytes > limits.bytes)
  })
  return queue.splice(0, end === -1 ? queue.length : end)
}
