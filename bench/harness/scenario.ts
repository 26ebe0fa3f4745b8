import { type Row, shortly } from "./report.ts"
import type { BenchServer, ServerName, Storage } from "./servers.ts"
import { startServer } from "./servers.ts"

export interface Bench {
  readonly seconds: number
  readonly storages: ReadonlyArray<Storage>
  /** Fields of a variant and their values: variants with others are left out. */
  readonly only: Readonly<Record<string, string>>
  /** Reports progress. */
  readonly say: (text: string) => void
}

export interface Scenario {
  readonly title: string
  /** Columns that name the variant. */
  readonly keys: ReadonlyArray<string>
  /** The rows of one round after the other, without end. */
  readonly rounds: (bench: Bench) => AsyncGenerator<ReadonlyArray<Row>>
}

/** A scenario whose rounds share nothing. */
export const eachRound = (round: (bench: Bench) => Promise<ReadonlyArray<Row>>): Scenario["rounds"] =>
  async function* (bench) {
    while (true) yield await round(bench)
  }

/** Measures each variant once, one after the other. */
export const inTurns = async <A extends object, R extends Row>(
  { only, say }: Bench,
  variants: ReadonlyArray<A>,
  measure: (variant: A) => Promise<R>
): Promise<ReadonlyArray<R>> => {
  const rows: Array<R> = []
  for (const variant of chosen(only, variants)) {
    const row = await measure(variant)
    say(shortly(row))
    rows.push(row)
  }
  return rows
}

const chosen = <A extends object>(only: Bench["only"], variants: ReadonlyArray<A>): ReadonlyArray<A> => {
  const fields = Object.entries(only)
  const found = variants.filter((variant) =>
    fields.every(([name, value]) => String(variant[name as keyof A]) === value)
  )
  if (found.length > 0) return found
  const all = variants.map((variant) => JSON.stringify(variant)).join("\n")
  throw new Error(`No variant of the scenario is ${JSON.stringify(only)}. There are:\n${all}`)
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
