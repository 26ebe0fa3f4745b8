import * as Flags from "@oclif/core/flags"
import { quantileOf, type Reading, readMetrics, sumOf } from "@sealog/server/admin"
import * as Effect from "effect/Effect"
import { BaseCommand } from "../BaseCommand.ts"
import { adminClient, explained } from "../backends/adminApi.ts"
import { serverFlags, serverOf } from "../input/server.ts"
import * as format from "../output/format.ts"

interface TopResult {
  readonly connections: { readonly secsync: number; readonly verdant: number }
  /** A second, between two readings. */
  readonly rates: {
    readonly events: number
    readonly framesReceived: number
    readonly bytesReceived: number
    readonly bytesSent: number
    readonly refusals: number
  }
  /** Upper bounds in milliseconds; null: nothing was committed. */
  readonly commitMillis: { readonly half: number | null; readonly slowest: number | null }
  readonly heapBytes: number
  readonly largestLibraries: ReadonlyArray<{ readonly libraryId: string; readonly payloadBytes: number }>
}

/** Clears the screen and goes to its first line. */
const CLEAR = "\u001b[2J\u001b[H"

export default class Top extends BaseCommand<TopResult> {
  static override summary = "Show what a server does now."
  static override description =
    "Reads the server's metrics at intervals and shows rates between them, until you stop it. Without a terminal, and with --json, shows one interval."
  static override examples = [
    "<%= config.bin %> top --server https://sync.example.org",
    "<%= config.bin %> top --interval 10 --json"
  ]
  static override flags = {
    ...serverFlags,
    interval: Flags.integer({ description: "seconds between two readings", default: 2, min: 1, max: 3600 })
  }

  async run(): Promise<TopResult> {
    const { flags } = await this.parse(Top)
    const address = await serverOf(flags)
    const isLive = process.stdout.isTTY === true && !this.jsonEnabled()
    let last: TopResult | undefined
    const watching = Effect.gen({ self: this }, function* () {
      const client = yield* adminClient(address)
      const read = Effect.map(explained(client.server.metrics({}), address), readMetrics)
      const { largestLibraries } = yield* explained(client.server.statistics({ query: {} }), address)
      let before = yield* read
      do {
        yield* Effect.sleep(flags.interval * 1000)
        const after = yield* read
        last = { ...figuresOf(before, after, flags.interval), largestLibraries }
        // Past `print`, which escapes what a terminal would obey.
        if (isLive) process.stdout.write(CLEAR)
        this.print(textOf(last, format))
        before = after
      } while (isLive)
    })
    if (isLive) await this.executeUntilStopped(watching)
    else await this.execute(watching)
    return last!
  }
}

const figuresOf = (before: Reading, after: Reading, seconds: number): Omit<TopResult, "largestLibraries"> => {
  const rate = (name: string) => Math.max(0, sumOf(after, name) - sumOf(before, name)) / seconds
  const millis = (share: number) => {
    const bound = quantileOf(before, after, "sealog_commit_seconds", share)
    return bound === undefined ? null : bound * 1000
  }
  return {
    connections: {
      secsync: sumOf(after, "sealog_connections", 'protocol="secsync"'),
      verdant: sumOf(after, "sealog_connections", 'protocol="verdant"')
    },
    rates: {
      events: rate("sealog_events_stored_total"),
      framesReceived: rate("sealog_frames_received_total"),
      bytesReceived: rate("sealog_received_bytes_total"),
      bytesSent: rate("sealog_sent_bytes_total"),
      refusals: rate("sealog_refusals_total")
    },
    commitMillis: { half: millis(0.5), slowest: millis(1) },
    heapBytes: sumOf(after, "sealog_heap_used_bytes")
  }
}

const textOf = (
  { commitMillis, connections, heapBytes, largestLibraries, rates }: TopResult,
  { bytes, number, table }: typeof import("../output/format.ts")
): string => {
  const perSecond = (value: number) => `${number(Math.round(value * 10) / 10)} a second`
  const below = (value: number | null) => {
    if (value === null) return "none"
    return Number.isFinite(value) ? `below ${number(value)} ms` : "longer than the last bucket"
  }
  const figures = [
    ["Secsync clients", number(connections.secsync)],
    ["Verdant clients", number(connections.verdant)],
    ["events stored", perSecond(rates.events)],
    ["frames received", perSecond(rates.framesReceived)],
    ["received", `${bytes(Math.round(rates.bytesReceived))} a second`],
    ["sent", `${bytes(Math.round(rates.bytesSent))} a second`],
    ["refusals", perSecond(rates.refusals)],
    ["half of the commits", below(commitMillis.half)],
    ["slowest commit", below(commitMillis.slowest)],
    ["heap", bytes(heapBytes)]
  ]
  const libraries = largestLibraries.map(({ libraryId, payloadBytes }) => [libraryId, bytes(payloadBytes)])
  return [table(["FIGURE", "NOW"], figures), "", table(["LARGEST LIBRARIES", "SIZE"], libraries)].join("\n")
}
