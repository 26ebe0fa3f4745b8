/**
 * Writes RESULTS.md, one page of results, from the baselines.
 *
 *   pnpm bench:page
 */
import { writeFileSync } from "node:fs"
import { type Baseline, baselineOf, type Row } from "./harness/report.ts"

const read = (scenario: string): Baseline => {
  const baseline = baselineOf(scenario)
  if (baseline === undefined) throw new Error(`bench/baseline/${scenario}.json is missing`)
  return baseline
}

/** A figure of the row that has these values; undefined if no row has them, or the row has no such figure. */
const figureOf = (scenario: string, column: string, where: Row): number | undefined => {
  const row = read(scenario).rows.find((row) => Object.entries(where).every(([name, value]) => row[name] === value))
  const value = row?.[column]
  return typeof value === "number" ? value : undefined
}

const shown = (value: number | undefined): string => {
  if (value === undefined) return "–"
  if (value >= 100) return Math.round(value).toLocaleString("en")
  return value >= 10 ? value.toFixed(0) : value.toPrecision(2)
}

interface Line {
  readonly question: string
  readonly scenario: string
  readonly column: string
  readonly where: Row
  /** The server to compare with, and its rows where they differ. */
  readonly peer?: { readonly name: string; readonly where: Row }
}

const ours = { server: "sealog" }
const reference = { name: "`secsync-server`", where: { server: "secsync-server" } }

const LINES: ReadonlyArray<Line> = [
  ...[1, 50, 1000].map((documents) => ({
    question: `updates a second, ${documents.toLocaleString("en")} document${documents === 1 ? "" : "s"}, one on its way in each`,
    scenario: "updates",
    column: "updates/s",
    where: { ...ours, documents, "in flight": 1 },
    peer: reference
  })),
  {
    question: "… 50 documents, 16 on their way in each",
    scenario: "updates",
    column: "updates/s",
    where: { ...ours, documents: 50, "in flight": 16 }
  },
  {
    question: "until an update is acknowledged, slowest of a hundred, 50 documents, ms",
    scenario: "updates",
    column: "ack p99 ms",
    where: { ...ours, documents: 50, "in flight": 1 },
    peer: reference
  },
  {
    question: "processor time of the server for an update, 50 documents, µs",
    scenario: "updates",
    column: "server CPU µs/update",
    where: { ...ours, documents: 50, "in flight": 1 },
    peer: reference
  },
  {
    question: "until 1,000 readers have an update, slowest of a hundred, ms",
    scenario: "fanout",
    column: "delivery p99 ms",
    where: { ...ours, readers: 1000 },
    peer: reference
  },
  {
    question: "until one of 200 clients, of which ten join at a time, has a document of 1 MB, slowest of a hundred, ms",
    scenario: "joins",
    column: "join p99 ms",
    where: { ...ours, "document MB": 1 },
    peer: reference
  },
  {
    question: "memory of an idle connection, KB",
    scenario: "idle",
    column: "KB/connection",
    where: { connections: 9990 }
  },
  {
    question: "bytes on disk for an update of 100 sealed bytes",
    scenario: "disk",
    column: "bytes/update",
    where: { ...ours, "ciphertext bytes": 100 },
    peer: reference
  },
  {
    question: "Verdant operations a second, 20 clients that write to one library",
    scenario: "verdant",
    column: "operations/s",
    where: { ...ours, clients: 20, writers: 20 },
    peer: { name: "`@verdant-web/server`", where: { server: "verdant" } }
  }
]

const STORAGES = ["sqlite", "postgres"] as const

const lineOf = ({ column, peer, question, scenario, where }: Line): string => {
  const figures = (more: Row) =>
    STORAGES.map((storage) => shown(figureOf(scenario, column, { ...where, ...more, storage })))
  const own = figures({})
  const others = peer === undefined ? ["", ""] : figures(peer.where)
  const name = peer?.name ?? ""
  return `| ${question} | ${own.join(" | ")} | ${name} | ${others.join(" | ")} |`
}

const BARS: ReadonlyArray<readonly [name: string, where: Row]> = [
  ["Sealog, SQLite", { ...ours, storage: "sqlite" }],
  ["secsync-server, SQLite", { server: "secsync-server", storage: "sqlite" }],
  ["Sealog, Postgres", { ...ours, storage: "postgres" }],
  ["secsync-server, Postgres", { server: "secsync-server, bare SQL", storage: "postgres" }],
  ["… as its guide does", { server: "secsync-server", storage: "postgres" }]
]

const chart = (): string => {
  const values = BARS.map(([, where]) =>
    Math.round(figureOf("updates", "updates/s", { ...where, documents: 50, "in flight": 1 }) ?? 0)
  )
  return `\`\`\`mermaid
xychart-beta horizontal
    title "Updates a second, 50 documents, one update on its way in each"
    x-axis [${BARS.map(([name]) => `"${name}"`).join(", ")}]
    y-axis "updates a second"
    bar [${values.join(", ")}]
\`\`\``
}

const measured = (): string => {
  const scenarios = [...new Set(LINES.map(({ scenario }) => scenario))]
  return scenarios
    .map((name) => {
      const { commit, rounds } = read(name)
      return `\`${name}\` at ${commit} in ${rounds}`
    })
    .join(", ")
}

const { machine, versions } = read("updates") as Baseline & { readonly versions: Readonly<Record<string, string>> }

writeFileSync(
  "bench/RESULTS.md",
  `# Results

\`pnpm bench:page\` writes this page from [baseline/](baseline). [README.md](README.md) says how it is measured, and why a figure is
as it is.

Sealog verifies each signature, checks clocks and parent proofs, and stores each update durably before it acknowledges it.
\`secsync-server\` ${versions["secsync-server"]} verifies signatures too. Server, load and Postgres share ${machine.cores} cores (${machine.cpu}). Another machine
gives other figures. Their ratios change less.

${chart()}

| | on SQLite | on Postgres | beside it | on SQLite | on Postgres |
| --- | --- | --- | --- | --- | --- |
${LINES.map(lineOf).join("\n")}

Medians of rounds in which the servers take turns. Measured, in so many rounds: ${measured()}.
`
)
