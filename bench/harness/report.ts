/** Prints results as a table beside the committed baseline, and writes them as JSON. */
import { execFileSync } from "node:child_process"
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs"
import { cpus, totalmem } from "node:os"

/** One line of a table. Text columns and those named in `keys` name the variant; the other columns are its figures. */
export type Row = Readonly<Record<string, string | number>>

export interface Result {
  readonly scenario: string
  readonly title: string
  /** Columns that name the variant. */
  readonly keys: ReadonlyArray<string>
  readonly rounds: number
  readonly seconds: number
  readonly rows: ReadonlyArray<Row>
}

const show = (value: string | number | undefined): string => {
  if (value === undefined || Number.isNaN(value)) return "–"
  if (typeof value === "string" || Number.isInteger(value)) return String(value)
  return Math.abs(value) >= 100 ? value.toFixed(0) : value.toPrecision(3)
}

const printTable = (rows: ReadonlyArray<Row>): void => {
  const columns = [...new Set(rows.flatMap((row) => Object.keys(row)))]
  console.log(`| ${columns.join(" | ")} |\n|${columns.map(() => " --- |").join("")}`)
  for (const row of rows) console.log(`| ${columns.map((column) => show(row[column])).join(" | ")} |`)
}

const versionOf = (name: string): string =>
  JSON.parse(readFileSync(`node_modules/${name}/package.json`, "utf8")).version

const conditions = () => ({
  commit: execFileSync("git", ["rev-parse", "--short", "HEAD"], { encoding: "utf8" }).trim(),
  machine: { cpu: cpus()[0]?.model, cores: cpus().length, memory: totalmem(), node: process.version },
  versions: Object.fromEntries(
    ["effect", "ws", "libsodium-wrappers", "secsync", "secsync-server", "pg"].map((name) => [name, versionOf(name)])
  )
})

const baselineOf = (scenario: string): ReadonlyArray<Row> | undefined => {
  const file = `bench/baseline/${scenario}.json`
  return existsSync(file) ? JSON.parse(readFileSync(file, "utf8")).rows : undefined
}

/** Divides each figure by the baseline's figure for the same variant. */
const ratios = ({ keys, rows }: Result, baseline: ReadonlyArray<Row>): ReadonlyArray<Row> =>
  rows.flatMap((row) => {
    const before = baseline.find((other) => keys.every((key) => other[key] === row[key]))
    if (before === undefined) return []
    const entries = Object.entries(row).map(([name, value]) => {
      const old = before[name]
      const isKey = keys.includes(name) || typeof value === "string" || typeof old !== "number"
      return [name, isKey ? value : `${(value / old).toFixed(2)} ×`]
    })
    return [Object.fromEntries(entries)]
  })

export const report = (result: Result, options: { readonly saveBaseline: boolean }): void => {
  console.log(`\n### ${result.title}\n`)
  printTable(result.rows)
  const baseline = baselineOf(result.scenario)
  if (baseline !== undefined && !options.saveBaseline) {
    console.log("\nAgainst the baseline:\n")
    printTable(ratios(result, baseline))
  }
  const folder = options.saveBaseline ? "bench/baseline" : "bench/results"
  mkdirSync(folder, { recursive: true })
  const stamp = options.saveBaseline ? "" : `${new Date().toISOString().replaceAll(":", "-")}-`
  const file = `${folder}/${stamp}${result.scenario}.json`
  writeFileSync(file, `${JSON.stringify({ ...conditions(), ...result }, null, 2)}\n`)
  console.log(`\nWritten to ${file}.`)
}
