/** Numbers, sizes, times, tables and progress as text for people. */

export const bytes = (count: number): string => {
  const units = ["B", "kB", "MB", "GB", "TB"]
  const power = count === 0 ? 0 : Math.min(units.length - 1, Math.floor(Math.log10(count) / 3))
  const value = count / 1000 ** power
  return `${power === 0 ? value : value.toFixed(1)} ${units[power]}`
}

/** "1,234,567.891". Not by `toLocaleString`: its first call reads the data of a language, which takes as long as half of bare Node. */
export const number = (value: number): string => {
  const rounded = Number.isInteger(value) ? value : Math.round(value * 1000) / 1000
  return String(rounded).replace(/\B(?<!\.\d*)(?=(\d{3})+(?!\d))/g, ",")
}

export const count = (value: number, noun: string): string => `${number(value)} ${noun}${value === 1 ? "" : "s"}`

/** "12 %" of a part that may be at most so large. */
export const share = (use: number, atMost: number): string => {
  if (use === 0) return "0 %"
  if (atMost === 0) return "over 100 %"
  return use * 100 < atMost ? "<1 %" : `${number(Math.floor((use / atMost) * 100))} %`
}

/** "901 B of 67.1 MB", for a part of a quota. */
export const useOf = (part: { readonly use: number; readonly atMost: number } | null): string =>
  part === null ? "not known" : `${bytes(part.use)} of ${bytes(part.atMost)}`

export const time = (millis: number): string => new Date(millis).toISOString().replace("T", " ").slice(0, 19)

/** A time as "5 min ago"; as a date if it is 30 days ago or more, or in the future. */
export const ago = (millis: number, now = Date.now()): string => {
  const seconds = Math.round((now - millis) / 1000)
  if (seconds < 0 || seconds >= 30 * 86_400) return `${time(millis)} UTC`
  if (seconds < 60) return `${seconds} s ago`
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ago`
  if (seconds < 86_400) return `${Math.floor(seconds / 3600)} h ago`
  return count(Math.floor(seconds / 86_400), "day").concat(" ago")
}

/** Replaces control and format characters, which a terminal would obey, by spaces. */
export const printable = (text: string): string => text.replace(/[\p{Cc}\p{Cf}]/gu, " ")

/** The sequences with which `emphasis` and `stateLabel` colour text. */
const OWN_COLOURS = new RegExp(`${String.fromCharCode(27)}\\[(?:1|22|3[1-3]|39)m`)
const OBEYED = new RegExp(`${OWN_COLOURS.source}|[^\\P{Cc}\\n\\t]|[\\p{Cf}\\p{Zl}\\p{Zp}]`, "gu")

/**
 * Escapes control and format characters as `\\uXXXX`, because a terminal would obey them. Line breaks, tabs and the CLI's own
 * colours stay. Every text that may come from outside goes through this before a terminal sees it.
 */
export const escapeControls = (text: string): string =>
  text.replace(OBEYED, (found) =>
    OWN_COLOURS.test(found)
      ? found
      : Array.from({ length: found.length }, (_, i) => `\\u${found.charCodeAt(i).toString(16).padStart(4, "0")}`).join(
          ""
        )
  )

/** Indented JSON without characters that a terminal would obey. */
export const jsonText = (value: unknown): string => escapeControls(JSON.stringify(value, null, 2))

/**
 * A table with numbers and sizes aligned to the right. In a terminal, long texts are cut so that a row takes one line; a file
 * or a pipe gets all of them.
 */
export const table = (header: ReadonlyArray<string>, rows: ReadonlyArray<ReadonlyArray<string | number>>): string => {
  const texts = rows.map((row) => row.map((cell) => (typeof cell === "number" ? number(cell) : printable(cell))))
  const natural = header.map((title, i) => Math.max(title.length, ...texts.map((row) => row[i]?.length ?? 0)))
  const widths = process.stdout.isTTY ? narrowed(natural, process.stdout.columns) : natural
  const isRight = header.map((title, i) => title === "SIZE" || typeof rows[0]?.[i] === "number")
  const line = (cells: ReadonlyArray<string>) =>
    cells
      .map((cell, i) => cut(cell, widths[i] ?? 0))
      .map((cell, i) => (isRight[i] ? cell.padStart(widths[i] ?? 0) : cell.padEnd(widths[i] ?? 0)))
      .join(GAP)
      .trimEnd()
  return [emphasis(line(header)), ...texts.map(line)].join("\n")
}

const GAP = "  "
/** A narrower column says nothing. */
const MIN_WIDTH = 12

/** Takes from the widest column until the columns fit. */
const narrowed = (natural: ReadonlyArray<number>, columns: number): ReadonlyArray<number> => {
  const widths = [...natural]
  const room = columns - GAP.length * (widths.length - 1)
  let excess = widths.reduce((sum, width) => sum + width, 0) - room
  while (excess > 0) {
    const widest = Math.max(...widths)
    if (widest <= MIN_WIDTH) break
    widths[widths.indexOf(widest)] = widest - 1
    excess -= 1
  }
  return widths
}

const cut = (text: string, width: number): string => (text.length <= width ? text : `${text.slice(0, width - 1)}…`)

const LABELS = { ok: ["ok  ", 32], warn: ["warn", 33], fail: ["FAIL", 31] } as const

/** The label of a finding's state, in colour if stdout is a terminal. */
export const stateLabel = (state: keyof typeof LABELS): string => {
  const [text, colour] = LABELS[state]
  return isColoured() ? `\u001b[${colour}m${text}\u001b[39m` : text
}

const isColoured = (): boolean => process.stdout.isTTY && !process.env["NO_COLOR"]

/** Bold, if stdout is a terminal and NO_COLOR (https://no-color.org) is not set. */
const emphasis = (text: string): string => (isColoured() ? `\u001b[1m${text}\u001b[22m` : text)

/** A progress bar on stderr; draws nothing if stderr is not a terminal. */
export const makeProgress = (label: string) => {
  const started = Date.now()
  let drawn = 0
  const clear = () => {
    if (drawn > 0) process.stderr.write("\r\u001b[K")
  }
  return {
    update: (done: number, total: number): void => {
      const now = Date.now()
      if (!process.stderr.isTTY || now - drawn < 100) return
      drawn = now
      const rate = done / Math.max(0.001, (now - started) / 1000)
      const share = total === 0 ? 1 : done / total
      const bar = "█".repeat(Math.round(share * 24)).padEnd(24, "░")
      const left = rate === 0 ? "?" : `${Math.ceil((total - done) / rate)} s left`
      process.stderr.write(
        `\r\u001b[K${label} ${bar} ${number(done)}/${number(total)}  ${number(Math.round(rate))}/s  ${left}`
      )
    },
    end: clear
  }
}
