/** Databases of a Verdant server: real files with damaged bytes, and sound ones whose rows hold hostile values. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { layerMemory } from "@sealog/server/adapters/MemoryEventLog"
import { importVerdant } from "@sealog/server/admin/ImportVerdant"
import { replay } from "@sealog/server/admin/Replay"
import { Signals } from "@sealog/server/ports/Signals"
import { Signatures } from "@sealog/server/signatures/Signatures"
import { Effect, Layer } from "effect"
import { databasesIn } from "../../packages/cli/src/backends/verdantDatabases.ts"
import type { Random } from "../../test/support/random.ts"
import { openShard, type Shard } from "../../test/support/verdant/shards.ts"
import { expect, type Fuzzer } from "../Fuzzer.ts"
import { chance, few, oneOf } from "../inputs/choose.ts"
import { hostileText } from "../inputs/hostile.ts"
import { mutate, mutateJson } from "../inputs/mutate.ts"
import { timestamp, verdantBaselines, verdantOperations } from "../inputs/samples.ts"

const shard: Shard = {
  replicas: [
    {
      id: "a",
      clientId: "ada",
      lastSeenWallClockTime: 1_700_000_000_000,
      ackedServerOrder: 8,
      ackedLogicalTime: timestamp(3)
    },
    { id: "b", clientId: "bob", lastSeenWallClockTime: null, type: 1 }
  ],
  operations: verdantOperations.map((operation, i) => ({ ...operation, serverOrder: i + 1, replicaId: "a" })),
  baselines: verdantBaselines,
  files: [{ fileId: "f1", name: "a.txt", type: "text/plain" }]
}

const COLUMNS = [
  ...["id", "clientId", "lastSeenWallClockTime", "ackedLogicalTime", "type", "ackedServerOrder"].map(
    (column) => `"ReplicaInfo" SET "${column}"`
  ),
  ...["oid", "timestamp", "data", "serverOrder", "replicaId", "authz"].map(
    (column) => `"OperationHistory" SET "${column}"`
  ),
  ...["oid", "snapshot", "timestamp", "authz"].map((column) => `"DocumentBaseline" SET "${column}"`),
  ...["fileId", "name", "type"].map((column) => `"FileMetadata" SET "${column}"`)
]

const services = Layer.mergeAll(layerMemory, Signals.layerNone, Signatures.layerInline)

export const verdantDatabase: Fuzzer = {
  name: "verdant-database",
  allows: "the outcome imported, empty or unreadable. An imported library is replayed without a problem.",
  inputs: 20,
  open: Effect.gen(function* () {
    const directory = yield* Effect.acquireRelease(
      Effect.sync(() => mkdtempSync(join(tmpdir(), "sealog-fuzz-"))),
      (folder) => Effect.sync(() => rmSync(folder, { recursive: true, force: true }))
    )
    const fileOf = (name: string) => join(directory, `${name}.sqlite`)
    const remove = (name: string) => {
      for (const suffix of ["", "-wal", "-shm", "-journal"]) rmSync(`${fileOf(name)}${suffix}`, { force: true })
    }
    /** The file of a sound database after statements with values. */
    const made = (change: (run: (statement: string, value: unknown) => void) => void): Uint8Array => {
      remove("made")
      const database = openShard(directory, "made", shard)
      change((statement, value) => {
        try {
          database.prepare(statement).run(value as string)
        } catch {
          // A constraint of the table refuses the value.
        }
      })
      database.exec("PRAGMA wal_checkpoint(TRUNCATE); PRAGMA journal_mode = DELETE")
      database.close()
      const bytes = readFileSync(fileOf("made"))
      remove("made")
      return bytes
    }
    const sound = made(() => {})
    const value = (random: Random): unknown =>
      oneOf(random, [
        () => hostileText(random).replaceAll("\u0000", ""),
        () => mutateJson(random, oneOf(random, verdantOperations).data),
        () => mutateJson(random, oneOf(random, verdantBaselines).snapshot),
        () => null,
        () => random.next(100) - 50,
        () => 1.5e300,
        () => Buffer.from([255, 0, 1])
      ])()
    return {
      input: (random) =>
        chance(random, 40)
          ? mutate(random, [sound])
          : made((run) => {
              for (let left = few(random, 6); left > 0; left--) {
                const which = chance(random, 30) ? "" : ` WHERE rowid = ${1 + random.next(8)}`
                run(`UPDATE ${oneOf(random, COLUMNS)} = ?${which}`, value(random))
              }
            }),
      feed: async (input) => {
        remove("fed")
        writeFileSync(fileOf("fed"), input)
        const [report, problems] = await Effect.runPromise(
          Effect.gen(function* () {
            const [report] = yield* importVerdant(databasesIn(directory).filter(({ libraryId }) => libraryId === "fed"))
            return [report, (yield* replay()).problems] as const
          }).pipe(Effect.provide(Layer.fresh(services)))
        )
        expect(report !== undefined && report.outcome !== "present", "the library is new")
        expect(problems.length === 0, `replay finds no problem: ${JSON.stringify(problems.slice(0, 3))}`)
        return report?.outcome === "imported" ? "value" : "refusal"
      }
    }
  })
}
