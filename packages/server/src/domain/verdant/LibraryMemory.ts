/** The memory that a library takes while it is open. */
import type { Quota } from "../Quota.ts"

/**
 * Memory of an object and of an operation, without its text, in bytes; and of a byte of their text, which is also in the parsed
 * operation, or takes two bytes a character.
 */
const [OBJECT_BYTES, OPERATION_BYTES, TEXT_BYTES] = [2200, 700, 2]

export const memoryOf = ({ bytes, objects, operations }: Pick<Quota, "bytes" | "objects" | "operations">): number =>
  objects * OBJECT_BYTES + operations * OPERATION_BYTES + bytes * TEXT_BYTES
