import { Args } from "@oclif/core"
import { BaseCommand } from "../BaseCommand.ts"

interface SuspendResult {
  readonly libraryId: string
  /** False: it was suspended before. */
  readonly changed: boolean
}

export default class Suspend extends BaseCommand<SuspendResult> {
  static override description = `Close a library to everybody, until it is resumed.

Its clients are disconnected within a second, on every server, and come back by themselves after \`sync-admin resume\`. Nothing is deleted.`
  static override examples = ["<%= config.bin %> suspend notes"]
  static override args = { libraryId: Args.string({ description: "the library", required: true }) }

  async run(): Promise<SuspendResult> {
    const { args, flags } = await this.parse(Suspend)
    const { libraryIdOf } = await import("../input/ids.ts")
    const { suspend } = await import("@sealog/server/admin")
    const libraryId = libraryIdOf(args.libraryId)
    const changed = await this.executeOn(flags.database, suspend(libraryId))
    this.print(changed ? `Suspended ${libraryId}.` : `${libraryId} was suspended before.`)
    return { libraryId, changed }
  }
}
