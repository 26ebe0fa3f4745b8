/** Numbers, times and rows as people read them. */

export const bytes = (count: number): string => {
  const units = ["B", "kB", "MB", "GB", "TB"]
  const power = count === 0 ? 0 : Math.min(units.length - 1, Math.floor(Math.log10(count) / 3))
  const value = count / 1000 ** power
  return `${power === 0 ? value : value.toFixed(1)} ${units[power]}`
}

export const count = (value: number, noun: string): string =>
  `${value.toLocaleString("en")} ${noun}${value === 1 ? "" : "s"}`

export const time = (millis: number): string => new Date(millis).toISOString().replace("T", " ").slice(0, 19)

export const table = (header: ReadonlyArray<string>, rows: ReadonlyArray<ReadonlyArray<string>>): string => {
  const widths = header.map((title, i) => Math.max(title.length, ...rows.map((row) => row[i]?.length ?? 0)))
  const line = (cells: ReadonlyArray<string>) =>
    cells
      .map((cell, i) => cell.padEnd(widths[i] ?? 0))
      .join("  ")
      .trimEnd()
  return [emphasis(line(header)), ...rows.map(line)].join("\n")
}

/** Bold where the terminal shows it, and NO_COLOR (https://no-color.org) is not set. */
const emphasis = (text: string): string =>
  process.stdout.isTTY && !process.env["NO_COLOR"] ? `\u001b[1m${text}\u001b[22m` : text

/** One line on stderr that is drawn over; nothing when stderr is not a terminal. */
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
        `\r\u001b[K${label} ${bar} ${done.toLocaleString("en")}/${total.toLocaleString("en")}  ${Math.round(rate).toLocaleString("en")}/s  ${left}`
      )
    },
    end: clear
  }
}
