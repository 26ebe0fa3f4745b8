/**
 * The metrics of all workers as those of one server: counters and most gauges are sums, ages are those of the oldest, and the
 * numbers of a process, such as its memory, stay apart with the worker as a label (`Declaration.combine`).
 */
import { allFamilies } from "../metrics/Family.ts"

interface Family {
  readonly name: string
  readonly type: string
  /** The lines that describe it. */
  readonly header: ReadonlyArray<string>
  /** Values by name and labels. */
  readonly samples: ReadonlyMap<string, number>
}

export class CombinedMetrics {
  /** The last text of each worker. */
  private readonly last = new Map<string, ReadonlyArray<Family>>()
  /** The counts of workers that have ended. Without them a sum would fall, which a scraper takes for a restart of all. */
  private readonly ended = new Map<string, number>()

  /** Takes what a worker, or the parent, says of itself in Prometheus' text format. */
  update(worker: string, text: string): void {
    this.last.set(worker, parse(text))
  }

  /** The worker has ended. The counts since its last text are lost. */
  end(worker: string): void {
    for (const { name, samples, type } of this.last.get(worker) ?? []) {
      if (type === "gauge" || combinationOf(name) !== "sum") continue
      for (const [series, value] of samples) this.ended.set(series, (this.ended.get(series) ?? 0) + value)
    }
    this.last.delete(worker)
  }

  /** All of them in Prometheus' text format. */
  format(): string {
    const headers = new Map<string, ReadonlyArray<string>>()
    const combined = new Map<string, Map<string, number>>()
    for (const [worker, families] of this.last) {
      for (const { header, name, samples } of families) {
        headers.set(name, header)
        const values = combined.get(name) ?? new Map<string, number>()
        combined.set(name, values)
        const combination = combinationOf(name)
        for (const [series, value] of samples) {
          const key = combination === "each" ? withLabel(series, worker) : series
          const before = values.get(key) ?? this.ended.get(key) ?? 0
          values.set(key, combination === "max" ? Math.max(before, value) : before + value)
        }
      }
    }
    const lines = Array.from(combined, ([name, values]) => [
      ...(headers.get(name) ?? []),
      ...Array.from(values, ([series, value]) => `${series} ${textOf(value)}`)
    ])
    return `${lines.flat().join("\n")}\n`
  }
}

const combinationOf = (name: string): "sum" | "max" | "each" => {
  combinations ??= new Map(allFamilies().map(({ declaration }) => [declaration.name, declaration.combine ?? "sum"]))
  return combinations.get(name) ?? "sum"
}
let combinations: ReadonlyMap<string, "sum" | "max" | "each"> | undefined

/** A family begins with its comments, and its samples follow. */
const parse = (text: string): ReadonlyArray<Family> => {
  const families: Array<
    Family & { readonly header: Array<string>; readonly samples: Map<string, number>; type: string }
  > = []
  for (const line of text.split("\n")) {
    const [, kind, name = "", rest = ""] = /^# (HELP|TYPE) (\S+) (.*)$/.exec(line) ?? []
    if (kind !== undefined) {
      if (families.at(-1)?.name !== name) families.push({ name, type: "", header: [], samples: new Map() })
      const family = families.at(-1)!
      family.header.push(line)
      if (kind === "TYPE") family.type = rest
      continue
    }
    // The values of labels may hold spaces, and numbers never do.
    const space = line.lastIndexOf(" ")
    if (space > 0) families.at(-1)?.samples.set(line.slice(0, space), numberOf(line.slice(space + 1)))
  }
  return families
}

const withLabel = (series: string, worker: string): string =>
  series.endsWith("}") ? `${series.slice(0, -1)},worker="${worker}"}` : `${series}{worker="${worker}"}`

const numberOf = (text: string): number =>
  text === "+Inf" ? Number.POSITIVE_INFINITY : text === "-Inf" ? Number.NEGATIVE_INFINITY : Number(text)

const textOf = (value: number): string => {
  if (value === Number.POSITIVE_INFINITY) return "+Inf"
  return value === Number.NEGATIVE_INFINITY ? "-Inf" : String(value)
}
