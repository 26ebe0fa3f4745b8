/**
 * Chooses the worker of a connection. All connections of a key go to one worker as long as there is one of them, so that one
 * process has the room. Any worker can serve any client: the choice saves conflicts, and correctness does not need it.
 */
import { createHash } from "node:crypto"

export interface Placeable {
  readonly number: number
  /** Whether it takes connections. */
  readonly isOpen: boolean
  readonly connections: number
}

export interface Placed<W> {
  readonly worker: W
  /** The connection has closed. */
  readonly release: () => void
}

interface Live<W> {
  readonly worker: W
  connections: number
}

export class Placement<W extends Placeable> {
  private readonly maxConnectionsOf: (worker: W) => number
  /** The keys with connections. */
  private readonly live = new Map<string, Live<W>>()

  /** `maxConnectionsOf`: above it, a worker gets a connection only if all others have as many. */
  constructor(maxConnectionsOf: (worker: W) => number) {
    this.maxConnectionsOf = maxConnectionsOf
  }

  /** Returns undefined if no worker takes connections. */
  place(key: string | undefined, workers: Iterable<W>): Placed<W> | undefined {
    const open = Array.from(workers).filter(({ isOpen }) => isOpen)
    const free = open.filter((worker) => worker.connections < this.maxConnectionsOf(worker))
    const candidates = free.length > 0 ? free : open
    if (key === undefined) {
      const worker = lowest(candidates, ({ connections }) => connections)
      return worker && { worker, release: () => {} }
    }
    const before = this.live.get(key)
    if (before !== undefined && candidates.includes(before.worker)) return this.placed(key, before)
    const worker = lowest(candidates, ({ number }) => rank(key, number))
    if (worker === undefined) return undefined
    const live = { worker, connections: 0 }
    this.live.set(key, live)
    return this.placed(key, live)
  }

  private placed(key: string, live: Live<W>): Placed<W> {
    live.connections += 1
    return {
      worker: live.worker,
      release: () => {
        live.connections -= 1
        if (live.connections === 0 && this.live.get(key) === live) this.live.delete(key)
      }
    }
  }
}

/** A key without connections gets the same worker again, which may still have its room. */
const rank = (key: string, number: number): number =>
  createHash("sha256").update(`${number} ${key}`).digest().readUInt32BE()

const lowest = <A>(values: ReadonlyArray<A>, by: (value: A) => number): A | undefined =>
  values.length === 0
    ? undefined
    : values.map((value) => [by(value), value] as const).reduce((a, b) => (b[0] < a[0] ? b : a))[1]
