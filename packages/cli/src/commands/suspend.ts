import * as Args from "@oclif/core/args"
import { BaseCommand } from "../BaseCommand.ts"
import { libraryIdOf } from "../input/ids.ts"
import { newLibraryFlag } from "../input/newLibrary.ts"
import { attributionOf, operatorFlags } from "../input/operator.ts"
import { targetFlags } from "../input/server.ts"

interface SuspendResult {
  readonly libraryId: string
  /** False if the library was suspended before. */
  readonly changed: boolean
}

export default class Suspend extends BaseCommand<SuspendResult> {
  static override summary = "Close a library to all clients until it is resumed."
  static override description =
    `Nothing is deleted. Every server disconnects the library's clients within a second. They reconnect by themselves after \`sync-admin resume\`.`
  static override examples = [
    "<%= config.bin %> suspend notes",
    '<%= config.bin %> suspend notes --as ada --reason "a leaked token"'
  ]
  static override args = { libraryId: Args.string({ description: "name of the library", required: true }) }
  static override flags = { ...targetFlags, ...operatorFlags, ...newLibraryFlag }

  async run(): Promise<SuspendResult> {
    const { args, flags } = await this.parse(Suspend)
    const libraryId = libraryIdOf(args.libraryId)
    const change = { by: attributionOf(flags), newLibrary: flags["new-library"] }
    const changed = await this.administer(flags, ({ suspend }) => suspend(libraryId, change))
    this.print(changed ? `Suspended ${libraryId}.` : `${libraryId} was suspended before.`)
    return { libraryId, changed }
  }
}
