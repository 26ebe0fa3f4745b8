/** Makes a failing script shorter: drops parts of it, large ones first, for as long as what is left still fails. */

/** Runs of the simulation that one shrinking may take. */
const MAX_RUNS = 400

export const shrink = <A>(script: ReadonlyArray<A>, fails: (script: ReadonlyArray<A>) => boolean): ReadonlyArray<A> => {
  let kept = script
  let runs = 0
  for (let size = Math.ceil(kept.length / 2); size >= 1 && runs < MAX_RUNS; size = Math.floor(size / 2)) {
    for (let start = 0; start < kept.length && runs < MAX_RUNS; ) {
      const shorter = [...kept.slice(0, start), ...kept.slice(start + size)]
      runs += 1
      if (fails(shorter)) kept = shorter
      else start += size
    }
  }
  return kept
}
