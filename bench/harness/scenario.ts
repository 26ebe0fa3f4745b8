import type { Row } from "./report.ts"
import type { BenchServer, ServerName, Storage } from "./servers.ts"
import { startServer } from "./servers.ts"

export interface Bench {
  readonly rounds: number
  readonly seconds: number
  readonly storages: ReadonlyArray<Storage>
  /** Progress. */
  readonly say: (text: string) => void
}

export interface Scenario {
  readonly title: string
  /** Columns that say what was measured. */
  readonly keys: ReadonlyArray<string>
  readonly run: (bench: Bench) => Promise<ReadonlyArray<Row>>
}

/** Measures each of them once a round, in turns, so that a noisy minute hits all alike. */
export const inTurns = async <A, B>(
  { rounds, say }: Bench,
  variants: ReadonlyArray<A>,
  measure: (variant: A) => Promise<B>
): Promise<ReadonlyArray<readonly [A, ReadonlyArray<B>]>> => {
  const measured = variants.map((variant) => [variant, [] as Array<B>] as const)
  for (let round = 1; round <= rounds; round++) {
    for (const [variant, results] of measured) {
      say(`round ${round} of ${rounds}: ${JSON.stringify(variant)}`)
      results.push(await measure(variant))
    }
  }
  return measured
}

/** A server on a fresh database, for as long as it is used. */
export const withServer = async <A>(
  name: ServerName,
  storage: Storage,
  use: (server: BenchServer) => Promise<A>
): Promise<A> => {
  const server = await startServer(name, { storage })
  try {
    return await use(server)
  } finally {
    await server.remove()
  }
}
