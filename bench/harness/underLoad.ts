/** Runs a load against a server, and measures the processor time of all that take part in it. */
import { startLoad } from "./generator.ts"
import { postgresCpuSeconds } from "./postgres.ts"
import type { BenchServer } from "./servers.ts"

/** Processor time in seconds, of all threads and processes of each. */
export interface Cpu {
  readonly server: number
  /** NaN where no Postgres takes part. */
  readonly postgres: number
  readonly load: number
}

export interface UnderLoad {
  readonly cpu: Cpu
  /** The longest time for which the server's event loop did not turn, in milliseconds. NaN for servers of others. */
  readonly longestBlock: number
  /** The same, while the load prepared. */
  readonly longestBlockBefore: number
}

/** Runs a load of `bench/loads`. Its preparation counts for nothing. */
export const underLoad = async <Done extends object>(
  server: BenchServer,
  kind: string,
  options: object
): Promise<Done & UnderLoad> => {
  const usesPostgres = server.database.startsWith("postgres:")
  const postgres = () => (usesPostgres ? postgresCpuSeconds() : Promise.resolve(Number.NaN))
  // A server's start is not counted.
  await server.longestBlock()
  const load = startLoad<Done & { readonly loadCpuSeconds: number }>(kind, { ...options, url: server.url })
  await load.ready
  const longestBlockBefore = await server.longestBlock()
  const [serverBefore, postgresBefore] = [server.cpuSeconds(), await postgres()]
  load.go()
  const done = await load.done
  const cpu = {
    server: server.cpuSeconds() - serverBefore,
    postgres: (await postgres()) - postgresBefore,
    load: done.loadCpuSeconds
  }
  return { ...done, cpu, longestBlockBefore, longestBlock: await server.longestBlock() }
}

const UNITS = { ms: 1e3, µs: 1e6 } as const

/** The columns for the processor time of one of `count` deeds, such as updates. */
export const cpuFigures = (cpu: Cpu, unit: keyof typeof UNITS, deed: string, count: number) => {
  const each = (seconds: number) => (seconds * UNITS[unit]) / count
  return {
    [`server CPU ${unit}/${deed}`]: each(cpu.server),
    [`Postgres CPU ${unit}/${deed}`]: each(cpu.postgres),
    [`load CPU ${unit}/${deed}`]: each(cpu.load)
  }
}
