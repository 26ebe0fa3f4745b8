/** A fuzzer: makes hostile inputs for one parser, and says what the parser may do with them. */
import type { Effect, Exit, Scope } from "effect"
import type { Random } from "../test/support/random.ts"

/** The declared ends of an input. Any other end is a finding: another error, an answer of 500, or no end at all. */
export type Outcome = "value" | "refusal"

export interface Fuzzer {
  /** Names the fuzzer on the command line and in the files of its findings. */
  readonly name: string
  /** The outcomes that the parser declares, for people. */
  readonly allows: string
  /** Inputs in a run of the tests, which take about a second. */
  readonly inputs: number
  readonly open: Effect.Effect<Parser, never, Scope.Scope>
}

export interface Parser {
  /** Makes an input. The same random numbers make the same input. */
  readonly input: (random: Random) => Uint8Array
  /** Feeds an input. Throws or rejects on a finding. */
  readonly feed: (input: Uint8Array) => Outcome | Promise<Outcome>
}

/** Fails the input: a promise of the parser does not hold. */
export const expect = (holds: boolean, promise: string): void => {
  if (!holds) throw new Error(`Does not hold: ${promise}`)
}

export const textOf = (input: Uint8Array): string =>
  Buffer.from(input.buffer, input.byteOffset, input.byteLength).toString()

/** The outcome of a failure: a finding unless its only reason is one of these errors. */
export const refusedWith = <E extends { readonly _tag: string }>(
  { cause }: Exit.Failure<unknown, E>,
  ...tags: ReadonlyArray<string>
): "refusal" => {
  const [reason] = cause.reasons
  if (cause.reasons.length === 1 && reason?._tag === "Fail" && tags.includes(reason.error._tag)) return "refusal"
  throw new Error(`It ended with ${String(reason?._tag)}`, {
    cause: reason?._tag === "Die" ? reason.defect : reason?._tag === "Fail" ? reason.error : reason
  })
}
