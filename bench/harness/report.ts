/** Prints figures as tables, beside the committed baseline, and writes them as JSON. */
import { execFileSync } from "node:child_process"
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs"
import { cpus, totalmem } from "node:os"
import { median } from "./statistics.ts"

/** One line of a table. Text columns and the scenario's keys name the variant; the other columns are its figures. */
export type Row = Readonly<Record<string, string | number>>

export interface Report {
  readonly scenario: string
  readonly title: string
  /** Columns that name the variant. */
  readonly keys: ReadonlyArray<string>
  readonly seconds: number
  /** The rows of each round. */
  readonly rounds: ReadonlyArray<ReadonlyArray<Row>>
}

const show = (value: string | number | undefined): string => {
  if (value === undefined || Number.isNaN(value)) return "–"
  if (typeof value === "string" || Number.isInteger(value)) return String(value)
  return Math.abs(value) >= 100 ? value.toFixed(0) : value.toPrecision(3)
}

/** A row as one line. */
export const shortly = (row: Row): string =>
  Object.entries(row)
    .map(([name, value]) => `${name} ${show(value)}`)
    .join(", ")

const printTable = (rows: ReadonlyArray<Row>): void => {
  const columns = [...new Set(rows.flatMap((row) => Object.keys(row)))]
  console.log(`| ${columns.join(" | ")} |\n|${columns.map(() => " --- |").join("")}`)
  for (const row of rows) console.log(`| ${columns.map((column) => show(row[column])).join(" | ")} |`)
}

const isSame = (keys: ReadonlyArray<string>, row: Row, other: Row): boolean =>
  keys.every((key) => row[key] === other[key])

/** Makes one row of the rows that several rounds have of one variant. */
const combine = (
  { keys, rounds }: Pick<Report, "keys" | "rounds">,
  figure: (values: ReadonlyArray<number>) => number
): ReadonlyArray<Row> =>
  (rounds[0] ?? []).map((first) => {
    const same = rounds.flatMap((rows) => rows.filter((row) => isSame(keys, row, first)))
    const entries = Object.entries(first).map(([name, value]) => {
      if (keys.includes(name) || typeof value === "string") return [name, value]
      return [name, figure(same.map((row) => Number(row[name])))]
    })
    return Object.fromEntries(entries)
  })

/** The median of each figure over the rounds. */
export const medians = (report: Pick<Report, "keys" | "rounds">): ReadonlyArray<Row> => combine(report, median)

/** Divides each figure by that of the same variant in other rows. A figure that is missing on either side has no ratio. */
export const ratios = (
  keys: ReadonlyArray<string>,
  rows: ReadonlyArray<Row>,
  others: ReadonlyArray<Row>
): ReadonlyArray<Row> =>
  rows.flatMap((row) => {
    const other = others.find((other) => isSame(keys, other, row))
    if (other === undefined) return []
    const entries = Object.entries(row).map(([name, value]) => {
      if (keys.includes(name) || typeof value === "string") return [name, value]
      const divisor = other[name]
      return [name, typeof divisor === "number" && divisor !== 0 ? value / divisor : Number.NaN]
    })
    return [Object.fromEntries(entries)]
  })

const versionOf = (name: string): string =>
  JSON.parse(readFileSync(`node_modules/${name}/package.json`, "utf8")).version

const conditions = () => ({
  commit: execFileSync("git", ["rev-parse", "--short", "HEAD"], { encoding: "utf8" }).trim(),
  machine: { cpu: cpus()[0]?.model, cores: cpus().length, memory: totalmem(), node: process.version },
  versions: Object.fromEntries(
    ["effect", "ws", "libsodium-wrappers", "secsync", "secsync-server", "pg"].map((name) => [name, versionOf(name)])
  )
})

export interface Baseline {
  readonly commit: string
  readonly machine: { readonly cpu: string; readonly cores: number }
  readonly rounds: number
  readonly rows: ReadonlyArray<Row>
}

export const baselineOf = (scenario: string): Baseline | undefined => {
  const file = `bench/baseline/${scenario}.json`
  return existsSync(file) ? JSON.parse(readFileSync(file, "utf8")) : undefined
}

const started = new Date().toISOString().replaceAll(":", "-")

/** Writes all rounds so far, and returns the file. It is written after each round, so that an interrupted run keeps its figures. */
export const keep = (report: Report, build: string): string => {
  mkdirSync("bench/results", { recursive: true })
  const name = build === "" ? report.scenario : `${report.scenario}-${build.replaceAll("/", "-")}`
  const file = `bench/results/${started}-${name}.json`
  writeFileSync(file, `${JSON.stringify({ ...conditions(), ...report, medians: medians(report) }, null, 2)}\n`)
  return file
}

export const saveBaseline = (report: Report): void => {
  const { rounds, ...rest } = report
  const baseline = { ...conditions(), ...rest, rounds: rounds.length, rows: medians(report) }
  writeFileSync(`bench/baseline/${report.scenario}.json`, `${JSON.stringify(baseline, null, 2)}\n`)
}

/** Prints the medians of all rounds, and their ratios to the baseline. */
export const print = (report: Report): void => {
  const rows = medians(report)
  console.log(`\n### ${report.title}: medians of ${report.rounds.length} rounds\n`)
  printTable(rows)
  const baseline = baselineOf(report.scenario)
  if (baseline === undefined) return
  const { commit, machine } = baseline
  console.log(`\nDivided by the baseline, of ${commit} on ${machine.cores} cores of ${machine.cpu}:\n`)
  printTable(ratios(report.keys, rows, baseline.rows))
}

/** Prints the figures of two builds, and the medians of their ratios round by round. */
export const printComparison = (report: Report, other: Report, name: string): void => {
  const { keys, rounds, title } = report
  console.log(`\n### ${title}: this build`)
  printTable(medians(report))
  console.log(`\n### ${title}: ${name}`)
  printTable(medians(other))
  console.log(`\n### ${title}: this build, divided by ${name}; medians of ${rounds.length} rounds`)
  printTable(medians({ keys, rounds: rounds.map((rows, i) => ratios(keys, rows, other.rounds[i] ?? [])) }))
}
