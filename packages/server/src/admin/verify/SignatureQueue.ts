/**
 * Verifies the signatures of findings while the caller reads on. Settles findings in the order in which they were submitted,
 * so a problem that depends on a signature keeps its place among the others.
 */
import { Effect, Fiber } from "effect"
import { Signatures } from "../../signatures/Signatures.ts"
import type { PackedUpdate } from "../../signatures/verifyPacked.ts"
import type { SignedText } from "../../signatures/verifySignature.ts"
import type { Finding } from "./PendingFindings.ts"
import type { Problem } from "./Problems.ts"
import type { Unless, UnlessPacked } from "./Report.ts"

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
  const { verify, verifyPacked } = yield* Signatures
  const outstanding: Array<{
    readonly judging: Fiber.Fiber<ReadonlyArray<Problem>>
    readonly settle: Settle<E, R>
    readonly characters: number
  }> = []
  let characters = 0

  /** Keeps the findings that are problems. */
  const judge = Effect.fnUntraced(function* (findings: ReadonlyArray<Finding>) {
    const left = yield* unpackWrong(findings)
    const signed = left.flatMap(({ unless }) => unless ?? [])
    const genuine = (yield* Effect.forEach(piecesOf(signed, textLength), verify)).flat()
    let next = 0
    return left.filter(({ unless }) => unless === undefined || genuine[next++] !== true)
  })

  /** Leaves out updates that are right as they are packed, and unpacks all others. */
  const unpackWrong = Effect.fnUntraced(function* (findings: ReadonlyArray<Finding>) {
    const updates = findings.flatMap(({ unless }) => (isPacked(unless) ? unless.update : []))
    const right = (yield* Effect.forEach(piecesOf(updates, packedLength), verifyPacked ?? noneIsRight)).flat()
    let next = 0
    return findings.flatMap(({ unless, ...problem }): ReadonlyArray<Problem & { unless: SignedText | undefined }> => {
      if (!isPacked(unless)) return [{ ...problem, unless }]
      const found = right[next++] === true ? undefined : unless.unpacked()
      return found === undefined ? [] : [{ ...problem, unless: undefined, ...found }]
    })
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
    let isCertain = findings.length === 0
    let length = 0
    for (const { unless } of findings) {
      if (unless === undefined) isCertain = true
      else length += isPacked(unless) ? packedLength(unless.update) : textLength(unless)
    }
    characters += length
    const judging = yield* Effect.forkChild(judge(findings), { startImmediately: true })
    outstanding.push({ judging, settle, characters: length })
    if (isCertain) yield* drain()
    while (outstanding.length > OUTSTANDING || characters > OUTSTANDING_CHARACTERS) yield* settleFirst()
  })

  return { submit, drain }
})

const isPacked = (unless: Unless | undefined): unless is UnlessPacked => unless !== undefined && "update" in unless

/** Without `verifyPacked`, all updates are unpacked. */
const noneIsRight = (updates: ReadonlyArray<PackedUpdate>) => Effect.succeed(updates.map(() => false))

const textLength = ({ text }: SignedText): number => text.length
const packedLength = ({ packed }: PackedUpdate): number => packed.bytes.length

const piecesOf = <A>(all: ReadonlyArray<A>, lengthOf: (a: A) => number): ReadonlyArray<ReadonlyArray<A>> => {
  const pieces: Array<Array<A>> = []
  let characters = Number.POSITIVE_INFINITY
  for (const each of all) {
    const length = lengthOf(each)
    characters += length
    if (characters > PIECE_CHARACTERS) {
      pieces.push([])
      characters = length
    }
    pieces.at(-1)!.push(each)
  }
  return pieces
}
