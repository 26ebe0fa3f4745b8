import * as Args from "@oclif/core/args"
import { BaseCommand } from "../../../BaseCommand.ts"
import { libraryIdOf, userIdOf } from "../../../input/ids.ts"
import { attributionOf, operatorFlags } from "../../../input/operator.ts"
import { targetFlags } from "../../../input/server.ts"

interface KeysForgetResult {
  readonly libraryId: string
  readonly userId: string
  /** False if the user was bound to no keys. */
  readonly changed: boolean
}

export default class TokenKeysForget extends BaseCommand<KeysForgetResult> {
  static override summary = "Forget the signing keys that a user is bound to."
  static override description =
    `For servers with --keys-per-user: a user who has lost a key is bound to the next keys that sign. Open connections go on with theirs; \`token revoke --user\` ends them.`
  static override examples = ["<%= config.bin %> token keys forget notes ada"]
  static override args = {
    libraryId: Args.string({ description: "name of the library", required: true }),
    userId: Args.string({ description: "user, as tokens name it (claim `sub`)", required: true })
  }
  static override flags = { ...targetFlags, ...operatorFlags }

  async run(): Promise<KeysForgetResult> {
    const { args, flags } = await this.parse(TokenKeysForget)
    const [libraryId, userId] = [libraryIdOf(args.libraryId), userIdOf(args.userId)]
    const by = attributionOf(flags)
    const changed = await this.administer(flags, ({ forgetKeys }) => forgetKeys(libraryId, userId, { by }))
    this.print(changed ? `Forgot the keys of ${userId} in ${libraryId}.` : `${userId} is bound to no keys there.`)
    return { libraryId, userId, changed }
  }
}
