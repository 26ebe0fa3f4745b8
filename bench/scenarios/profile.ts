/** Profiles time and allocations of the main thread by function, while clients write to 50 documents. */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import type { Row } from "../harness/report.ts"
import { eachRound, type Scenario, withServer } from "../harness/scenario.ts"
import { measureUpdates } from "./updates.ts"

const LOAD = { documents: 50, inFlight: 16, readers: 2 } as const
const SHOWN = 12

interface CallFrame {
  readonly functionName: string
  readonly url: string
  readonly lineNumber: number
}
interface CpuNode {
  readonly callFrame: CallFrame
  readonly hitCount: number
}
interface HeapNode {
  readonly callFrame: CallFrame
  readonly selfSize: number
  readonly children: ReadonlyArray<HeapNode>
}

const placeOf = ({ functionName, lineNumber, url }: CallFrame): string => {
  const file = url.replace(/^.*\/node_modules\//, "").replace(/^.*\/(packages\/)/, "$1")
  const name = functionName === "" ? "(anonymous)" : functionName
  return file === "" ? name : `${name} ${file}:${lineNumber + 1}`
}

const flatten = (node: HeapNode): ReadonlyArray<HeapNode> => [node, ...node.children.flatMap(flatten)]

/** Returns the places with the largest values, in percent of the total. */
const largest = (all: ReadonlyArray<readonly [CallFrame, number]>): ReadonlyArray<readonly [string, number]> => {
  const places = new Map<string, number>()
  let total = 0
  for (const [frame, value] of all) {
    if (["(idle)", "(program)", "(root)"].includes(frame.functionName)) continue
    total += value
    places.set(placeOf(frame), (places.get(placeOf(frame)) ?? 0) + value)
  }
  const sorted = [...places].sort(([, a], [, b]) => b - a).slice(0, SHOWN)
  return sorted.map(([place, value]) => [place, (100 * value) / total])
}

export const scenario: Scenario = {
  title: `Profile: ${LOAD.documents} documents, ${LOAD.inFlight} in flight`,
  keys: ["storage", "of", "place"],
  rounds: eachRound(async ({ seconds, storages }) => {
    const rows: Array<Row> = []
    for (const storage of storages) {
      const folder = mkdtempSync(join(tmpdir(), "sealog-profile-"))
      process.env["BENCH_NODE_FLAGS"] = `--cpu-prof --cpu-prof-dir=${folder} --heap-prof --heap-prof-dir=${folder}`
      await withServer("sealog", storage, async (server) => {
        await measureUpdates(server, { ...LOAD, seconds })
        await server.stop()
      })
      // Each thread has its own file; the main thread's number is 0.
      const read = (suffix: string) => {
        const name = readdirSync(folder).find((name) => name.endsWith(suffix) && name.split(".").at(-3) === "0")
        return JSON.parse(readFileSync(join(folder, name ?? ""), "utf8"))
      }
      const time: ReadonlyArray<CpuNode> = read(".cpuprofile").nodes
      const allocated = flatten(read(".heapprofile").head)
      rows.push(
        ...largest(time.map((node) => [node.callFrame, node.hitCount])).map(([place, part]) => {
          return { storage, of: "time", place, "%": part }
        }),
        ...largest(allocated.map((node) => [node.callFrame, node.selfSize])).map(([place, part]) => {
          return { storage, of: "memory", place, "%": part }
        })
      )
      rmSync(folder, { recursive: true })
    }
    delete process.env["BENCH_NODE_FLAGS"]
    return rows
  })
}
