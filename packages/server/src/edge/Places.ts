/** Places of each of many, such as client addresses or libraries, so that one cannot take those of all. */

/** Gives a place back; a second call does nothing. */
export type Release = () => void

export interface Places {
  /** Takes a place of this address or library. undefined: it has none left. */
  readonly take: (key: string) => Release | undefined
}

export const makePlaces = (most: number): Places => {
  const counts = new Map<string, number>()
  return {
    take: (key) => {
      const count = counts.get(key) ?? 0
      if (count >= most) return undefined
      counts.set(key, count + 1)
      let isTaken = true
      return () => {
        if (!isTaken) return
        isTaken = false
        const left = counts.get(key)! - 1
        if (left === 0) counts.delete(key)
        else counts.set(key, left)
      }
    }
  }
}
