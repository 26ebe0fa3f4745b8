/** Random numbers that can be repeated: a test prints the seed, and `TEST_SEED` sets it. */
export interface Random {
  readonly seed: number
  /** An integer from 0 to `below` - 1. */
  readonly next: (below: number) => number
}

export const freshSeed = (): number => Number(process.env["TEST_SEED"] ?? Math.floor(Math.random() * 2 ** 32))

export const makeRandom = (seed: number = freshSeed()): Random => {
  let state = seed
  // mulberry32
  const next = (below: number): number => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below
  }
  return { seed, next }
}
