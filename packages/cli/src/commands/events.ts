import * as Args from "@oclif/core/args"
import * as Flags from "@oclif/core/flags"
import type { EventsScope, LoggedEvent } from "@sealog/server/admin"
import { libraryAdministration, serverAdministration, VERDANT } from "@sealog/server/admin"
import * as Effect from "effect/Effect"
import { BaseCommand } from "../BaseCommand.ts"
import { documentIdOf, libraryIdOf } from "../input/ids.ts"
import { targetFlags } from "../input/server.ts"
import { CliFailure } from "../output/CliFailure.ts"
import { bytes, escapeControls, time } from "../output/format.ts"
import { OutputClosed, writeLines } from "../output/stream.ts"

const LAST = 50

interface EventsResult {
  readonly libraryId: string
  readonly events: ReadonlyArray<LoggedEvent>
}

export default class Events extends BaseCommand<EventsResult | undefined> {
  static override summary = "Show the events of a library or of one document, newest last."
  static override description =
    `Each event is one line: time (UTC), document, version, type, payload size, details. The events of several documents are ordered by the servers' clocks.

Streams that start with @ are no documents: @verdant holds the library's Verdant data, @library its administration (suspend, resume, revoked tokens), and @access the administration of all libraries. Their details end with the operator and the reason.

With --follow the command prints new events of every server and command until you stop it or the reader closes the pipe. With --follow --json it prints one JSON object per line.`
  static override examples = [
    "<%= config.bin %> events notes",
    "<%= config.bin %> events notes welcome --last 5",
    "<%= config.bin %> events notes welcome --after 120 --json",
    "<%= config.bin %> events notes --follow",
    "<%= config.bin %> events @access"
  ]
  static override args = {
    libraryId: Args.string({ description: "name of the library, or @access", required: true }),
    documentId: Args.string({ description: "only this document, @library or @verdant" })
  }
  static override flags = {
    ...targetFlags,
    last: Flags.integer({ description: `show the last N events (default: ${LAST})`, min: 0, max: 10_000 }),
    after: Flags.integer({
      description: "show all events of the document after this version, instead of the last",
      min: 0,
      exclusive: ["last"]
    }),
    follow: Flags.boolean({ char: "f", description: "keep running and show new events", default: false })
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
        message: "--after is a version, and each document counts its own versions.",
        exitCode: 2,
        tryThis: "sync-admin events <libraryId> <documentId> --after <version>"
      })
    }
    const events: Array<LoggedEvent> = []
    let isEmpty = true
    const lineOf = this.jsonEnabled() ? (event: LoggedEvent) => JSON.stringify(event) : await textOf()
    const show = (page: ReadonlyArray<LoggedEvent>) => {
      isEmpty &&= page.length === 0
      return this.jsonEnabled() && !follow
        ? Effect.sync(() => void events.push(...page))
        : writeLines(
            process.stdout,
            page.map((event) => escapeControls(lineOf(event))),
            follow
          )
    }
    const from = after === undefined ? { last } : { after }
    await this.administer(
      flags,
      ({ eachEvent }) =>
        Effect.catch(eachEvent(scope, { from, follow }, show), (error) =>
          error instanceof OutputClosed && error.byReader ? Effect.void : Effect.fail(error)
        ),
      (showing) => (follow ? this.executeUntilStopped(showing) : this.execute(showing))
    )
    if (isEmpty && !follow) this.print("No events.")
    return follow ? undefined : { libraryId: scope.libraryId, events }
  }

  override logJson(json: unknown): void {
    if (this.isFollowing) process.stdout.write(`${escapeControls(JSON.stringify(json))}\n`)
    else super.logJson(json)
  }
}

/** The streams that the arguments name: a library's, one document's, or an administrative stream. */
const scopeOf = async (libraryId: string, documentId: string | undefined): Promise<EventsScope> => {
  const { libraryId: server, streamId: access } = serverAdministration
  if (libraryId === access && documentId === undefined) return serverAdministration
  if (libraryId === server && documentId === undefined) return { libraryId: serverAdministration.libraryId }
  const library = libraryIdOf(libraryId)
  if (documentId === undefined) return { libraryId: library }
  const isReserved = documentId === libraryAdministration(library).streamId || documentId === VERDANT
  return { libraryId: library, streamId: isReserved ? documentId : documentIdOf(documentId) }
}

/** Prints an event as one line. The document column widens with the longest name so far. */
const textOf = async () => {
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
    // Names come from authors and operators and can hold characters that a terminal would obey.
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
  fileId: "file",
  objects: "objects",
  bytes: "bytes",
  replicas: "replicas",
  files: "files",
  fileBytes: "file bytes",
  documentBytes: "document bytes",
  documentAuthors: "document authors",
  events: "events",
  payloadBytes: "payload bytes",
  documentId: "document",
  url: "url",
  libraryId: "library",
  version: "version",
  attempts: "attempts",
  problem: "answer",
  operator: "by",
  reason: "reason"
}

/** The fields of an event that tell it from others. */
const detailOf = (data: object): string => {
  const all = "snapshot" in data && typeof data.snapshot === "object" ? { ...data, ...data.snapshot } : data
  return Object.entries(all)
    .flatMap(([field, value]) => (NAMES[field] === undefined ? [] : [`${NAMES[field]} ${shortened(field, value)}`]))
    .join(", ")
}

/** The first 8 characters of a public key are enough to tell authors apart. */
const shortened = (field: string, value: unknown): unknown => {
  if (field === "pubKey" && typeof value === "string") return `${value.slice(0, 8)}…`
  return field === "reason" ? JSON.stringify(value) : value
}
