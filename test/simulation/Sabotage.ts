/** Promises that can be broken on purpose, to see that the simulation finds it. */
export const SABOTAGES = [
  "the log answers before it commits",
  "the log does not compare versions",
  "the log shows an event before an older one"
] as const

export type Sabotage = (typeof SABOTAGES)[number]
