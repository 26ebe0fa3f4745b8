import { Args, Flags } from "@oclif/core"
import type { EventsScope, LoggedEvent } from "@sealog/server/admin"
import { BaseCommand } from "../BaseCommand.ts"
import { CliFailure } from "../output/CliFailure.ts"

const LAST = 50

interface EventsResult {
  readonly libraryId: string
  readonly events: ReadonlyArray<LoggedEvent>
}

export default class Events extends BaseCommand<EventsResult | undefined> {
  static override description = `Show what happened in a library or in one document, newest last.

One line an event: the time (UTC), the document, the version, what it was, the size of its payload, and what it says. The documents of a library are put together by the time that servers' clocks showed. What was decided of a library is in its stream @library, what was decided for all in @server. What Verdant's clients keep in a library is its stream @verdant.

With --follow it goes on with whatever is written, by whichever server or command, until it is stopped or nobody reads it any more; with --json it then prints one JSON object a line.`
  static override examples = [
    "<%= config.bin %> events notes",
    "<%= config.bin %> events notes welcome --last 5",
    "<%= config.bin %> events notes welcome --after 120 --json",
    "<%= config.bin %> events notes --follow"
  ]
  static override args = {
    libraryId: Args.string({ description: "the library, or @server", required: true }),
    documentId: Args.string({ description: "only this document, or @library or @verdant" })
  }
  static override flags = {
    last: Flags.integer({ description: `how many (${LAST} unless told)`, min: 0, max: 10_000 }),
    after: Flags.integer({
      description: "instead of the last, all that a document has after this version",
      min: 0,
      exclusive: ["last"]
    }),
    follow: Flags.boolean({ char: "f", description: "go on with what comes", default: false })
  }

  private isFollowing = false

  async run(): Promise<EventsResult | undefined> {
    const { args, flags } = await this.parse(Events)
    const { after, follow, last = LAST } = flags
    this.isFollowing = follow
    const scope = await scopeOf(args.libraryId, args.documentId)
    if (after !== undefined && scope.streamId === undefined) {
      throw new CliFailure({
        code: "USAGE",
        message: "--after is a version, and every document has its own.",
        exitCode: 2,
        tryThis: "a document's name as well"
      })
    }
    const Effect = await import("effect/Effect")
    const { eachEvent } = await import("@sealog/server/admin")
    const { backendOf } = await import("../backends/storage.ts")
    const { writeLines } = await import("../output/stream.ts")
    const events: Array<LoggedEvent> = []
    const lineOf = this.jsonEnabled() ? (event: LoggedEvent) => JSON.stringify(event) : await textOf()
    const show = (page: ReadonlyArray<LoggedEvent>) =>
      this.jsonEnabled() && !follow
        ? Effect.sync(() => void events.push(...page))
        : writeLines(process.stdout, page.map(lineOf), follow)
    const from = after === undefined ? { last } : { after }
    const showing = eachEvent(scope, { from, follow }, show).pipe(
      Effect.catchTag("OutputClosed", (error) => (error.byReader ? Effect.void : Effect.die(error))),
      Effect.catchTag("NoSuchStream", () => Effect.fail(nothingThere(args.libraryId, args.documentId))),
      Effect.provide((await backendOf(flags.database)).existing)
    )
    await (follow ? this.executeUntilStopped(showing) : this.execute(showing))
    return follow ? undefined : { libraryId: scope.libraryId, events }
  }

  override logJson(json: unknown): void {
    if (this.isFollowing) process.stdout.write(`${JSON.stringify(json)}\n`)
    else super.logJson(json)
  }
}

/** Documents and libraries, and the streams that are our own. */
const scopeOf = async (libraryId: string, documentId: string | undefined): Promise<EventsScope> => {
  const { documentIdOf, libraryIdOf } = await import("../input/ids.ts")
  const { libraryAdministration, serverAdministration } = await import("@sealog/server/admin")
  const { VERDANT } = await import("@sealog/server/admin")
  if (libraryId === serverAdministration.libraryId && documentId === undefined) {
    return { libraryId: serverAdministration.libraryId }
  }
  const library = libraryIdOf(libraryId)
  if (documentId === undefined) return { libraryId: library }
  const own = libraryAdministration(library)
  const isOwn = documentId === own.streamId || documentId === VERDANT
  return { libraryId: library, streamId: isOwn ? documentId : documentIdOf(documentId) }
}

const nothingThere = (libraryId: string, documentId: string | undefined): CliFailure =>
  new CliFailure({
    code: documentId === undefined ? "NO_SUCH_LIBRARY" : "NO_SUCH_DOCUMENT",
    message:
      documentId === undefined
        ? `The log has no library ${libraryId}.`
        : `The library ${libraryId} has no document ${documentId}.`,
    exitCode: 1,
    tryThis: "sync-admin library list"
  })

/** An event as people read it; columns grow with what comes. */
const textOf = async () => {
  const { bytes, time } = await import("../output/format.ts")
  let width = 0
  return ({ data, payloadBytes, purged, recordedAt, streamId, type, version }: LoggedEvent): string => {
    width = Math.max(width, streamId.length)
    const size = purged ? "purged" : payloadBytes === null ? "" : bytes(payloadBytes)
    const columns = [
      time(recordedAt),
      streamId.padEnd(width),
      String(version).padStart(6),
      type.padEnd(17),
      size.padStart(8),
      detailOf(data)
    ]
    // What an author or an operator named may hold what a terminal would obey.
    return columns.join("  ").trimEnd().replaceAll(/\p{C}/gu, "?")
  }
}

const NAMES: Readonly<Record<string, string>> = {
  snapshotId: "snapshot",
  refSnapshotId: "snapshot",
  clock: "clock",
  pubKey: "author",
  before: "before",
  tokenId: "token",
  userId: "user",
  replicaId: "replica",
  operations: "operations",
  baselines: "baselines",
  fileId: "file"
}

/** What tells one event from another. */
const detailOf = (data: object): string => {
  const all = "snapshot" in data && typeof data.snapshot === "object" ? { ...data, ...data.snapshot } : data
  return Object.entries(all)
    .flatMap(([field, value]) => (NAMES[field] === undefined ? [] : [`${NAMES[field]} ${shortened(field, value)}`]))
    .join(", ")
}

/** Keys are told apart by their beginning. */
const shortened = (field: string, value: unknown): unknown =>
  field === "pubKey" && typeof value === "string" ? `${value.slice(0, 8)}…` : value
