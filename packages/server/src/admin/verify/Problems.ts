/** Problems found by a verification, at most 1,000 of them: there may be one per event. */
import { Schema } from "effect"
import type { LibraryId } from "../../domain/Ids.ts"
import type { ProblemKind } from "./Report.ts"

export interface Problem {
  readonly libraryId: LibraryId
  readonly streamId: string
  readonly version: number
  readonly problem: ProblemKind
  readonly detail: string
}

export interface Problems {
  /** The first 1,000. */
  readonly problems: ReadonlyArray<Problem>
  /** All problems that were found. */
  readonly problemCount: number
}

/** A stream is not as it was written. Pages that were read from it before the damage were already passed on. */
export class StreamDamaged extends Schema.TaggedError<StreamDamaged>()("StreamDamaged", {
  libraryId: Schema.String,
  streamId: Schema.String,
  version: Schema.Finite,
  problem: Schema.String,
  detail: Schema.String
}) {
  override get message(): string {
    return `${this.libraryId}/${this.streamId} version ${this.version}: ${this.problem}: ${this.detail}`
  }
}

const MAX_PROBLEMS = 1000

export const makeProblems = () => {
  const problems: Array<Problem> = []
  let problemCount = 0
  return {
    add: ({ libraryId, streamId, version, problem, detail }: Problem): void => {
      problemCount += 1
      if (problems.length < MAX_PROBLEMS) problems.push({ libraryId, streamId, version, problem, detail })
    },
    found: (): Problems => ({ problems, problemCount })
  }
}
