import * as Args from "@oclif/core/args"
import * as Flags from "@oclif/core/flags"
import type { ImportedLibrary } from "@sealog/server/admin"
import { importVerdant } from "@sealog/server/admin"
import { provide } from "effect/Effect"
import { BaseCommand } from "../../BaseCommand.ts"
import { blobStoreOf } from "../../backends/blobStore.ts"
import { databasesIn, fileNamesIn } from "../../backends/verdantDatabases.ts"
import { durationOf } from "../../input/durations.ts"
import { CliFailure } from "../../output/CliFailure.ts"
import type * as Format from "../../output/format.ts"
import { bytes, count, makeProgress, printable } from "../../output/format.ts"

interface ImportVerdantResult {
  readonly dryRun: boolean
  readonly libraries: ReadonlyArray<ImportedLibrary>
}

export default class ImportVerdant extends BaseCommand<ImportVerdantResult> {
  static override summary = "Import the libraries of a Verdant server from its SQLite files."
  static override description = `Stop the Verdant server first. Its files are only read. Use --dry-run to check them.

Each library becomes one event, and its clients continue with this server where they stopped. A library that has Verdant data in the log is left alone, so you can run the command again. Uploaded files are copied from --files-from to --files, also for libraries that were imported earlier without them.

Exit code 1 if a library was already there or could not be read, or if any item or file of it was left out.`
  static override examples = [
    "<%= config.bin %> import verdant ./verdant-dbs --dry-run",
    "<%= config.bin %> import verdant ./verdant-dbs --files-from ./verdant-files --files ./data/files",
    "<%= config.bin %> import verdant ./verdant-dbs --library notes --truancy 14d"
  ]
  static override args = {
    directory: Args.string({ description: "databasesDirectory of the Verdant server", required: true })
  }
  static override flags = {
    library: Flags.string({ description: "import only this library" }),
    truancy: Flags.string({
      description: "how long the Verdant server waited for a replica (its replicaTruancyMinutes): 12h, 14d",
      default: "7d"
    }),
    "files-from": Flags.string({
      description: "where the Verdant server kept uploaded files (rootDirectory of its LocalFileStorage)"
    }),
    files: Flags.string({
      description: "where the Sealog servers keep uploaded files: a directory, or s3 (configured by S3_… variables)",
      env: "SEALOG_FILES",
      default: "./data/files"
    }),
    "dry-run": Flags.boolean({ description: "read everything and write nothing", default: false })
  }

  async run(): Promise<ImportVerdantResult> {
    const { args, flags } = await this.parse(ImportVerdant)
    const truancy = durationOf(flags.truancy)
    const from = flags["files-from"]
    if (from !== undefined) fileNamesIn(from, "rootDirectory")
    const all = databasesIn(args.directory, from)
    const shards = flags.library === undefined ? all : all.filter(({ libraryId }) => libraryId === flags.library)
    if (shards.length === 0) throw noDatabases(args.directory, flags.library)
    const progress = makeProgress("import verdant (libraries)")
    const dryRun = flags["dry-run"]
    const importing = importVerdant(shards, { truancy, dryRun, onProgress: progress.update })
    const store = from === undefined || dryRun ? undefined : await blobStoreOf(flags.files)
    const storing = store === undefined ? importing : provide(importing, store)
    const libraries = await this.executeOn(flags.database, storing).finally(progress.end)
    for (const library of libraries)
      this.print(printable(`${library.libraryId}: ${describe(library, { bytes, count })}`))
    const imported = libraries.filter(({ outcome }) => outcome === "imported").length
    this.print(`${dryRun ? "Would import" : "Imported"} ${imported} of ${count(libraries.length, "file")}.`)
    if (!libraries.every(isWhole)) process.exitCode = 1
    return { dryRun, libraries }
  }
}

const isWhole = ({ filesLeftOut, malformed, outcome }: ImportedLibrary): boolean =>
  malformed + filesLeftOut === 0 && (outcome === "imported" || outcome === "empty")

const describe = (library: ImportedLibrary, { bytes, count }: Pick<typeof Format, "bytes" | "count">): string => {
  const { baselines, detail, fileBytes, files, filesLeftOut, lapsed, malformed, operations, outcome, replicas } =
    library
  const missing = [
    ...(malformed === 0 ? [] : [count(malformed, "malformed item")]),
    ...(filesLeftOut === 0 ? [] : [`${count(filesLeftOut, "file")} without bytes`])
  ]
  const left = missing.length === 0 ? "" : `; left out ${missing.join(" and ")}`
  const brought = files === 0 ? "" : `, ${count(files, "file")} of ${bytes(fileBytes)}`
  if (outcome !== "imported") return `${outcome}${detail === null ? "" : `: ${detail}`}${brought}${left}`
  const reset = lapsed === 0 ? "" : `, ${count(lapsed, "replica")} to be reset`
  return `${count(operations, "operation")}, ${count(baselines, "baseline")}, ${count(replicas, "replica")}${reset}${brought}${left}`
}

const noDatabases = (directory: string, library: string | undefined): CliFailure =>
  new CliFailure({
    code: "NO_SUCH_LIBRARY",
    message:
      library === undefined ? `${directory} holds no *.sqlite files.` : `${directory} holds no ${library}.sqlite.`,
    exitCode: 1,
    tryThis: "use the directory that the Verdant server's databasesDirectory names"
  })
