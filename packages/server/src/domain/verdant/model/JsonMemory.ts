/** The memory that parsed JSON takes. In small pieces, it takes up to twenty times the memory of its text. */

/**
 * Bytes of an object or a list, of each of its fields or items, and of a field whose name may be an index; measured with Node
 * 26. Strings take as much as their text.
 */
const [CONTAINER_BYTES, ITEM_BYTES, INDEX_BYTES] = [64, 24, 240] as const

/** Whether a value's objects, lists, fields and items take more memory than this many bytes. Takes no longer if they do. */
export const takesMoreThan = (bytes: number, value: unknown): boolean => bytesLeft(value, bytes) < 0

const bytesLeft = (value: unknown, bytes: number): number => {
  if (typeof value !== "object" || value === null) return bytes
  let left = bytes - CONTAINER_BYTES
  if (Array.isArray(value)) {
    left -= value.length * ITEM_BYTES
    for (let i = 0; i < value.length && left >= 0; i++) left = bytesLeft(value[i], left)
    return left
  }
  for (const key in value) {
    const isIndex = key >= "0" && key < ":"
    left = bytesLeft((value as Record<string, unknown>)[key], left - (isIndex ? INDEX_BYTES : ITEM_BYTES))
    if (left < 0) return left
  }
  return left
}
