/** Sizes and times, for people. */

export const bytes = (count: number): string => {
  if (count < 1000) return `${count} B`
  return count < 1_000_000 ? `${(count / 1000).toFixed(1)} kB` : `${(count / 1_000_000).toFixed(1)} MB`
}

export const time = (milliseconds: number): string => new Date(milliseconds).toLocaleTimeString([], { hour12: false })

export const counted = (count: number, noun: string): string => `${count} ${noun}${count === 1 ? "" : "s"}`
