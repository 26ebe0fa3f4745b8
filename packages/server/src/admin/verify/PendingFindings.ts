/**
 * What a fold finds, in order, while the signatures of it are verified elsewhere: a problem that a signature decides on
 * keeps its place among those that are certain.
 */
import { Effect, Fiber } from "effect"
import type { StreamKey } from "../../domain/Stream.ts"
import { Signatures } from "../../signatures/Signatures.ts"
import type { SignedText } from "../../signatures/verifySignature.ts"
import type { Problem } from "./Problems.ts"
import type { Report } from "./StreamCheck.ts"

/** A problem; one with `unless` only if that was not signed by its key. */
export interface Finding extends Problem {
  readonly unless: SignedText | undefined
}

/** Gathers what is reported, until it is taken. */
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

/** So often findings may be handed over before the first of them are settled: threads are to have enough to do. */
const OUTSTANDING = 8
/** And their signed texts may be so long together: never more than a few pages wait in memory. */
const OUTSTANDING_CHARACTERS = 4 * 1024 * 1024
/** What is verified at a time: a thread has copies of it. */
const PIECE_CHARACTERS = 1024 * 1024

/** What is done with the problems among findings once it is known which of them are. */
type Settle<E, R> = (problems: ReadonlyArray<Problem>) => Effect.Effect<void, E, R>

/** Has findings judged while its caller goes on, and settles them in the order in which they came. */
export const makeJudgement = Effect.fnUntraced(function* <E = never, R = never>() {
  const { verify } = yield* Signatures
  const outstanding: Array<{
    readonly judging: Fiber.Fiber<ReadonlyArray<Problem>>
    readonly settle: Settle<E, R>
    readonly characters: number
  }> = []
  let characters = 0

  const judge = Effect.fnUntraced(function* (findings: ReadonlyArray<Finding>, signed: ReadonlyArray<SignedText>) {
    const genuine = (yield* Effect.forEach(piecesOf(signed), verify)).flat()
    let next = 0
    return findings.filter(({ unless }) => unless === undefined || genuine[next++] !== true)
  })

  const settleFirst = Effect.fnUntraced(function* () {
    const first = outstanding.shift()
    if (first === undefined) return
    characters -= first.characters
    yield* first.settle(yield* Fiber.join(first.judging))
  })

  const settleAll = Effect.fnUntraced(function* () {
    while (outstanding.length > 0) yield* settleFirst()
  })

  /** They are settled later, and until then others may be handed over; but no others once some are problems for certain. */
  const handOver = Effect.fnUntraced(function* (findings: ReadonlyArray<Finding>, settle: Settle<E, R>) {
    const signed = findings.flatMap(({ unless }) => unless ?? [])
    const length = signed.reduce((sum, { text }) => sum + text.length, 0)
    characters += length
    const judging = yield* Effect.forkChild(judge(findings, signed), { startImmediately: true })
    outstanding.push({ judging, settle, characters: length })
    if (signed.length < findings.length || signed.length === 0) yield* settleAll()
    while (outstanding.length > OUTSTANDING || characters > OUTSTANDING_CHARACTERS) yield* settleFirst()
  })

  return { handOver, settleAll }
})

const piecesOf = (signed: ReadonlyArray<SignedText>): ReadonlyArray<ReadonlyArray<SignedText>> => {
  const pieces: Array<Array<SignedText>> = []
  let characters = Number.POSITIVE_INFINITY
  for (const each of signed) {
    characters += each.text.length
    if (characters > PIECE_CHARACTERS) {
      pieces.push([])
      characters = each.text.length
    }
    pieces.at(-1)!.push(each)
  }
  return pieces
}
