/** The memory of the server processes over time, in MiB: what they take of the machine, and the kinds that they count. */
import { readFileSync } from "node:fs"
import type { Node } from "./Servers.ts"

const MIB = 1024 * 1024
/** A frozen process does not answer. */
const ANSWERS_WITHIN = 500

export interface Sample {
  /** From 0, the beginning, to 1, the end. */
  readonly at: number
  /** MiB by kind; `resident` is all that a process takes. */
  readonly kinds: ReadonlyMap<string, number>
}

const residentBytes = (pid: number): number =>
  Number(/^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1] ?? Number.NaN) * 1024

const metricsOf = async (port: number): Promise<string> => {
  const response = await fetch(`http://127.0.0.1:${port}/metrics`, { signal: AbortSignal.timeout(ANSWERS_WITHIN) })
  return response.text()
}

/** The bytes of each kind that a process counts, with its heap and its buffers. */
const countedBytes = async (port: number): Promise<ReadonlyArray<readonly [kind: string, bytes: number]>> => {
  const metrics = await metricsOf(port)
  const kinds = metrics.matchAll(/^sealog_memory_bytes\{kind="(\w+)"\} (\S+)$/gm)
  const valueOf = (name: string) => Number(new RegExp(`^${name} (\\S+)$`, "m").exec(metrics)?.[1])
  return [
    ["heap", valueOf("sealog_heap_used_bytes")],
    ["external", valueOf("sealog_external_memory_bytes")],
    ...Array.from(kinds, ([, kind, bytes]) => [kind!, Number(bytes)] as const)
  ]
}

export class Memory {
  private readonly samples: Array<Sample> = []

  /** Leaves the sample out if a process is frozen or gone. `at`: see `Sample`. */
  async look(at: number, nodes: ReadonlyArray<Node>): Promise<void> {
    try {
      const kinds = new Map<string, number>()
      const add = (kind: string, bytes: number) => kinds.set(kind, (kinds.get(kind) ?? 0) + bytes / MIB)
      for (const { metricsPort, process } of nodes) {
        for (const [kind, bytes] of await countedBytes(metricsPort)) add(kind, bytes)
        add("resident", residentBytes(process.pid))
      }
      this.samples.push({ at, kinds })
    } catch {}
  }

  /** The means of a kind in the middle third and in the last. */
  thirdsOf(kind: string): { readonly middle: number; readonly last: number } {
    const meanOf = (from: number, to: number) => {
      const within = this.samples.filter(({ at }) => at >= from && at < to)
      return within.reduce((sum, { kinds }) => sum + (kinds.get(kind) ?? 0), 0) / within.length
    }
    return { middle: meanOf(1 / 3, 2 / 3), last: meanOf(2 / 3, Number.POSITIVE_INFINITY) }
  }

  /** The means of all kinds of which there was something. */
  get table(): string {
    const kinds = Array.from(this.samples.at(-1)?.kinds.keys() ?? [])
    return kinds
      .map((kind) => ({ kind, ...this.thirdsOf(kind) }))
      .filter(({ middle, last }) => Math.max(middle, last) >= 0.1)
      .map(({ kind, middle, last }) => `${kind} ${middle.toFixed(1)} → ${last.toFixed(1)}`)
      .join(", ")
  }
}
