/** The median of all that is not NaN; NaN if nothing is left. */
export const median = (numbers: ReadonlyArray<number>): number =>
  quantile(
    numbers.filter((number) => !Number.isNaN(number)),
    0.5
  )

/** Returns the quantile `q` (0 to 1) of numbers in any order; NaN for an empty list. */
export const quantile = (numbers: ReadonlyArray<number>, q: number): number => {
  const sorted = numbers.toSorted((a, b) => a - b)
  return sorted[Math.round(q * (sorted.length - 1))] ?? Number.NaN
}

export const sum = (numbers: ReadonlyArray<number>): number => numbers.reduce((a, b) => a + b, 0)
