import type { StreamHead } from "../domain/Stream.ts"

/** Whether a stream whose head is `found` cannot hold the event at `known`: it is shorter, or holds another one there. */
export const isBehind = (found: StreamHead, known: StreamHead): boolean =>
  found.version < known.version || (found.version === known.version && found.chain !== known.chain)
