/**
 * Verifies the signatures of findings while the caller reads on. Settles findings in the order in which they were submitted,
 * so a problem that depends on a signature keeps its place among the others.
 */
import { Effect, Fiber } from "effect"
import { Signatures } from "../../signatures/Signatures.ts"
import type { SignedText } from "../../signatures/verifySignature.ts"
import type { Finding } from "./PendingFindings.ts"
import type { Problem } from "./Problems.ts"

/** Submissions that may wait for their signatures: enough to keep the threads busy. */
const OUTSTANDING = 8
/** Characters of signed text that may wait, so that only a few pages are in memory. */
const OUTSTANDING_CHARACTERS = 4 * 1024 * 1024
/** Characters of signed text per call of `verify`, which copies them to a thread. */
const PIECE_CHARACTERS = 1024 * 1024

/** Receives the problems among the findings of one submission, once the signatures are verified. */
type Settle<E, R> = (problems: ReadonlyArray<Problem>) => Effect.Effect<void, E, R>

/** A queue to submit findings to. Call `drain` at the end: it waits until every submission is settled. */
export const makeSignatureQueue = Effect.fnUntraced(function* <E = never, R = never>() {
  const { verify } = yield* Signatures
  const outstanding: Array<{
    readonly judging: Fiber.Fiber<ReadonlyArray<Problem>>
    readonly settle: Settle<E, R>
    readonly characters: number
  }> = []
  let characters = 0

  /** Keeps the findings that are problems. */
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

  const drain = Effect.fnUntraced(function* () {
    while (outstanding.length > 0) yield* settleFirst()
  })

  /**
   * Submits findings, and waits only while the queue is full. If one of them is certainly a problem, it waits until
   * everything is settled, so that the caller does not read on for nothing.
   */
  const submit = Effect.fnUntraced(function* (findings: ReadonlyArray<Finding>, settle: Settle<E, R>) {
    const signed = findings.flatMap(({ unless }) => unless ?? [])
    const length = signed.reduce((sum, { text }) => sum + text.length, 0)
    characters += length
    const judging = yield* Effect.forkChild(judge(findings, signed), { startImmediately: true })
    outstanding.push({ judging, settle, characters: length })
    if (signed.length < findings.length || signed.length === 0) yield* drain()
    while (outstanding.length > OUTSTANDING || characters > OUTSTANDING_CHARACTERS) yield* settleFirst()
  })

  return { submit, drain }
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
