/** Random choices. */
import type { Random } from "../../test/support/random.ts"

export const oneOf = <A>(random: Random, values: ReadonlyArray<A>): A => {
  const value = values[random.next(values.length)]
  if (value === undefined && values.length === 0) throw new Error("There is nothing to choose from")
  return value as A
}

export const chance = (random: Random, percent: number): boolean => random.next(100) < percent

/** A small number that is now and then large: 1 in half of the cases, 2 in a quarter, and so on. */
export const few = (random: Random, most: number): number => {
  let count = 1
  while (count < most && random.next(2) === 0) count += 1
  return count
}
