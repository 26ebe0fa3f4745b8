/**
 * Work in steps: a generator that stops after each small part of its work, so that its caller may let other work go first.
 * Its result does not depend on how often it stops.
 */

/** `Made`: what the work makes on its way and its caller wants to know of at once. */
export type Steps<A, Made = never> = Generator<Made | undefined, A, void>

/** Items that one step handles. */
export const STEP_ITEMS = 250

/** Does all the work at once. */
export const allAtOnce = <A>(steps: Steps<A, unknown>): A => {
  for (;;) {
    const { done, value } = steps.next()
    if (done === true) return value
  }
}

/** The items in order, as `toSorted` has them: items that compare equal stay in their order. */
export const sorted = function* <A>(items: ReadonlyArray<A>, compare: (a: A, b: A) => number): Steps<ReadonlyArray<A>> {
  let runs: Array<ReadonlyArray<A>> = []
  for (let start = 0; start < items.length; start += STEP_ITEMS) {
    runs.push(items.slice(start, start + STEP_ITEMS).sort(compare))
    yield
  }
  while (runs.length > 1) {
    const longer: Array<ReadonlyArray<A>> = []
    for (let i = 0; i < runs.length; i += 2) {
      const [a, b] = [runs[i]!, runs[i + 1]]
      longer.push(b === undefined ? a : yield* merged(a, b, compare))
    }
    runs = longer
  }
  return runs[0] ?? []
}

const merged = function* <A>(
  a: ReadonlyArray<A>,
  b: ReadonlyArray<A>,
  compare: (a: A, b: A) => number
): Steps<ReadonlyArray<A>> {
  const all: Array<A> = []
  let [i, j] = [0, 0]
  while (i < a.length || j < b.length) {
    const isFirst = j === b.length || (i < a.length && compare(a[i]!, b[j]!) <= 0)
    all.push(isFirst ? a[i++]! : b[j++]!)
    if (all.length % STEP_ITEMS === 0) yield
  }
  return all
}

/** The results of the function for each item. */
export const mapped = function* <A, B>(items: Iterable<A>, of: (item: A) => B): Steps<ReadonlyArray<B>> {
  const all: Array<B> = []
  for (const item of items) {
    all.push(of(item))
    if (all.length % STEP_ITEMS === 0) yield
  }
  return all
}

/** The items, some of them at a time. */
export const chunksOf = function* <A>(items: ReadonlyArray<A>): Generator<ReadonlyArray<A>, void, void> {
  for (let start = 0; start < items.length; start += STEP_ITEMS) yield items.slice(start, start + STEP_ITEMS)
}
