/** Findings of a verification, in the order in which they were found, until their signatures are verified. */
import type { StreamKey } from "../../domain/Stream.ts"
import type { Problem } from "./Problems.ts"
import type { Report, Unless } from "./Report.ts"

/** A problem. With `unless`, it is one only if that is not so. */
export interface Finding extends Problem {
  readonly unless: Unless | undefined
}

/** Collects reported findings until they are taken. */
export const makePendingFindings = () => {
  let found: Array<Finding> = []
  return {
    reportOf:
      ({ libraryId, streamId }: StreamKey): Report =>
      (version, problem, detail, unless) => {
        found.push({ libraryId, streamId, version, problem, detail, unless })
      },
    count: () => found.length,
    take: (): ReadonlyArray<Finding> => {
      const taken = found
      found = []
      return taken
    }
  }
}
