import * as Args from "@oclif/core/args"
import { BaseCommand } from "../BaseCommand.ts"
import { libraryIdOf } from "../input/ids.ts"
import { attributionOf, operatorFlags } from "../input/operator.ts"
import { targetFlags } from "../input/server.ts"

interface ResumeResult {
  readonly libraryId: string
  /** False if the library was not suspended. */
  readonly changed: boolean
}

export default class Resume extends BaseCommand<ResumeResult> {
  static override summary = "Open a suspended library again."
  static override description = "Its clients reconnect by themselves."
  static override examples = ["<%= config.bin %> resume notes"]
  static override args = { libraryId: Args.string({ description: "name of the library", required: true }) }
  static override flags = { ...targetFlags, ...operatorFlags }

  async run(): Promise<ResumeResult> {
    const { args, flags } = await this.parse(Resume)
    const libraryId = libraryIdOf(args.libraryId)
    const by = attributionOf(flags)
    const changed = await this.administer(flags, ({ resume }) => resume(libraryId, { by }))
    this.print(changed ? `Resumed ${libraryId}.` : `${libraryId} was not suspended.`)
    return { libraryId, changed }
  }
}
