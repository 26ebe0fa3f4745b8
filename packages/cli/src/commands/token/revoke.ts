import * as Args from "@oclif/core/args"
import * as Flags from "@oclif/core/flags"
import type { Revocation } from "@sealog/server/admin"
import { BaseCommand } from "../../BaseCommand.ts"
import { libraryIdOf } from "../../input/ids.ts"
import { newLibraryFlag } from "../../input/newLibrary.ts"
import { attributionOf, operatorFlags } from "../../input/operator.ts"
import { targetFlags } from "../../input/server.ts"
import { CliFailure } from "../../output/CliFailure.ts"

interface RevokeResult {
  readonly tokenId: string | null
  readonly userId: string | null
  /** null for every library. */
  readonly libraryId: string | null
  /** False if the tokens were revoked before. */
  readonly changed: boolean
}

export default class TokenRevoke extends BaseCommand<RevokeResult> {
  static override summary = "Revoke one token, all tokens of a user, or all tokens of a library."
  static override description =
    `Every server disconnects clients with a revoked token within a second and refuses the token from then on. Tokens of the user or library that are minted later are valid.`
  static override examples = [
    "<%= config.bin %> token revoke 6b1f3c1e-6a3c-4c53-9c4e-0f2f6f0d9a51",
    "<%= config.bin %> token revoke --user ada",
    "<%= config.bin %> token revoke --user ada --library notes",
    "<%= config.bin %> token revoke --library notes"
  ]
  static override args = {
    tokenId: Args.string({ description: "id of the token (claim `jti`, as `sync-admin token inspect` shows it)" })
  }
  static override flags = {
    ...targetFlags,
    ...operatorFlags,
    ...newLibraryFlag,
    user: Flags.string({ description: "revoke every token of this user that was issued until now" }),
    library: Flags.string({
      description: "revoke only in this library; alone, every token of the library that was issued until now"
    })
  }

  async run(): Promise<RevokeResult> {
    const { args, flags } = await this.parse(TokenRevoke)
    const scope = flags.library === undefined ? {} : { libraryId: libraryIdOf(flags.library) }
    const revocation = revocationOf(args.tokenId, flags.user, scope)
    const change = { by: attributionOf(flags), newLibrary: flags["new-library"] }
    const changed = await this.administer(flags, ({ revoke }) => revoke(revocation, change))
    const where = scope.libraryId === undefined ? "" : ` in ${scope.libraryId}`
    const revoked = args.tokenId
      ? `token ${args.tokenId}${where}`
      : flags.user
        ? `every token of ${flags.user}${where}`
        : `every token of ${scope.libraryId}`
    this.print(changed ? `Revoked ${revoked}.` : `Revoked before: ${revoked}.`)
    return {
      tokenId: args.tokenId ?? null,
      userId: flags.user ?? null,
      libraryId: scope.libraryId ?? null,
      changed
    }
  }
}

const revocationOf = (
  tokenId: string | undefined,
  userId: string | undefined,
  scope: Pick<Revocation, "libraryId">
): Revocation => {
  if (tokenId !== undefined && userId !== undefined) {
    throw usage("A token id and --user exclude each other.", "name one of them")
  }
  if (tokenId?.includes(".")) {
    throw usage("This is a token, not the id of a token.", "the `jti` that `sync-admin token inspect` shows")
  }
  for (const [name, value] of Object.entries({ "token id": tokenId, "user name": userId })) {
    if (value !== undefined && (value === "" || value.length > 200)) {
      throw usage(`This is not a valid ${name}.`, "1 to 200 characters")
    }
  }
  if (tokenId !== undefined) return { ...scope, tokenId }
  if (userId !== undefined) return { ...scope, userId }
  const { libraryId } = scope
  if (libraryId !== undefined) return { libraryId }
  throw usage("Name the tokens to revoke.", "a token id, --user or --library")
}

const usage = (message: string, tryThis: string): CliFailure =>
  new CliFailure({ code: "USAGE", message, exitCode: 2, tryThis })
