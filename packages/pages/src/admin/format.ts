/** Numbers, sizes and times as text, as the commands print them. */
const UNITS = ["B", "kB", "MB", "GB", "TB"]

export const bytes = (count: number): string => {
  const power = count < 1 ? 0 : Math.min(UNITS.length - 1, Math.floor(Math.log10(count) / 3))
  const value = count / 1000 ** power
  return `${power === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)} ${UNITS[power]}`
}

export const number = (value: number): string => value.toLocaleString("en")

/** Few digits, for figures that change all the time. */
export const figure = (value: number): string =>
  value.toLocaleString("en", { maximumFractionDigits: value < 10 ? 1 : 0 })

export const count = (value: number, noun: string): string => `${number(value)} ${noun}${value === 1 ? "" : "s"}`

/** "12 %" of a part that may be at most so large. */
export const share = (use: number, atMost: number): string => {
  if (use === 0) return "0 %"
  if (atMost === 0) return "over 100 %"
  return use * 100 < atMost ? "<1 %" : `${number(Math.floor((use / atMost) * 100))} %`
}

/** "901 B of 67.1 MB", for a part of a quota. */
export const useOf = ({ atMost, use }: { readonly atMost: number; readonly use: number }): string =>
  `${bytes(use)} of ${bytes(atMost)}`

export const time = (millis: number): string => new Date(millis).toISOString().replace("T", " ").slice(0, 19)

/** A time without its seconds. */
export const minute = (millis: number): string => time(millis).slice(0, 16)

export const clock = (millis: number): string => new Date(millis).toISOString().slice(11, 19)

const span = (seconds: number): string => {
  if (seconds < 60) return `${seconds} s`
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min`
  if (seconds < 86_400) return `${Math.floor(seconds / 3600)} h`
  return count(Math.floor(seconds / 86_400), "day")
}

export const ago = (millis: number, now = Date.now()): string => {
  const seconds = Math.round((now - millis) / 1000)
  return seconds < 1 ? "now" : `${span(seconds)} ago`
}

export const until = (millis: number, now = Date.now()): string => {
  const seconds = Math.round((millis - now) / 1000)
  return seconds <= 0 ? "ended" : `in ${span(seconds)}`
}

/** The first characters of a hash or a key are enough to tell it from others. */
export const short = (text: string, length = 8): string => (text.length <= length ? text : `${text.slice(0, length)}…`)
