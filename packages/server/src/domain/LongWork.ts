/** Work in steps that holds much parsed data on its way. */
import type { Steps } from "./Steps.ts"

export interface LongWork {
  /** Characters that it parses at once. */
  readonly length: number
  readonly steps: () => Steps<void>
}
