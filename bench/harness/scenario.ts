import type { Row } from "./report.ts"
import type { BenchServer, ServerName, Storage } from "./servers.ts"
import { startServer } from "./servers.ts"

export interface Bench {
  readonly rounds: number
  readonly seconds: number
  readonly storages: ReadonlyArray<Storage>
  /** Reports progress. */
  readonly say: (text: string) => void
}

export interface Scenario {
  readonly title: string
  /** Columns that name the variant. */
  readonly keys: ReadonlyArray<string>
  readonly run: (bench: Bench) => Promise<ReadonlyArray<Row>>
}

/** Measures each variant once a round, so that a noisy minute affects all of them alike. */
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

/** Starts a server on a fresh database, and removes both after use. */
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
