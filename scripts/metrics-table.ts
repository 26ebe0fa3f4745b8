/**
 * The table of docs/metrics.md, from the declarations of the metrics: `node --conditions=@sealog/source scripts/metrics-table.ts`
 * writes it into the page.
 */
import { readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { allFamilies } from "../packages/server/src/metrics/Family.ts"
import "../packages/server/src/metrics/Metrics.ts"

const page = join(import.meta.dirname, "../docs/metrics.md")
const [BEGIN, END] = ["<!-- metrics -->", "<!-- /metrics -->"] as const

/** Labels with more values than this are described below the table. */
const FEW = 8

const labelsOf = (labels: Readonly<Record<string, ReadonlyArray<string>>>): string =>
  Object.entries(labels)
    .map(([name, values]) =>
      values.length <= FEW ? `\`${name}\`: ${values.map((value) => `\`${value}\``).join(", ")}` : `\`${name}\``
    )
    .join("; ")

/** The table, as Markdown whose columns are aligned. */
export const metricsTable = (): string => {
  const rows = [
    ["metric", "type", "labels", "unit", "meaning"],
    ...allFamilies().map(({ declaration: { description, labels = {}, name, unit }, type }) => [
      `\`${name}\``,
      type,
      labelsOf(labels),
      unit,
      description
    ])
  ]
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)))
  const line = (row: ReadonlyArray<string>) => `| ${row.map((cell, i) => cell.padEnd(widths[i]!)).join(" | ")} |`
  return [line(rows[0]!), line(widths.map((width) => "-".repeat(width))), ...rows.slice(1).map(line)].join("\n")
}

/** The table that the page holds. */
export const writtenTable = (): string => {
  const text = readFileSync(page, "utf8")
  return text.slice(text.indexOf(BEGIN) + BEGIN.length, text.indexOf(END)).trim()
}

if (import.meta.main) {
  const text = readFileSync(page, "utf8")
  const [before, after] = [text.slice(0, text.indexOf(BEGIN) + BEGIN.length), text.slice(text.indexOf(END))]
  writeFileSync(page, `${before}\n\n${metricsTable()}\n\n${after}`)
}
