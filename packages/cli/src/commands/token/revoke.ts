import { Args, Flags } from "@oclif/core"
import type { Revocation } from "@sealog/server/admin"
import { BaseCommand } from "../../BaseCommand.ts"
import { CliFailure } from "../../output/CliFailure.ts"

interface RevokeResult {
  readonly tokenId: string | null
  readonly userId: string | null
  /** null: in every library. */
  readonly libraryId: string | null
  /** False: it was revoked before. */
  readonly changed: boolean
}

export default class TokenRevoke extends BaseCommand<RevokeResult> {
  static override description = `Make tokens worthless: one, all of a user, or all of a library.

Whoever is connected with one is cut off within a second, on every server, and does not come back with it. A user's or a library's tokens that are minted later are good.`
  static override examples = [
    "<%= config.bin %> token revoke 6b1f3c1e-6a3c-4c53-9c4e-0f2f6f0d9a51",
    "<%= config.bin %> token revoke --user ada",
    "<%= config.bin %> token revoke --user ada --library notes",
    "<%= config.bin %> token revoke --library notes"
  ]
  static override args = {
    tokenId: Args.string({ description: "the token's id (claim `jti`, as `token inspect` shows it)" })
  }
  static override flags = {
    user: Flags.string({ description: "every token of this user that was issued until now" }),
    library: Flags.string({ description: "only in this library; alone: every token of it that was issued until now" })
  }

  async run(): Promise<RevokeResult> {
    const { args, flags } = await this.parse(TokenRevoke)
    const { libraryIdOf } = await import("../../input/ids.ts")
    const { revoke } = await import("@sealog/server/admin")
    const scope = flags.library === undefined ? {} : { libraryId: libraryIdOf(flags.library) }
    const revocation = revocationOf(args.tokenId, flags.user, scope)
    const changed = await this.executeOn(flags.database, revoke(revocation))
    const where = scope.libraryId === undefined ? "" : ` in ${scope.libraryId}`
    const what = args.tokenId
      ? `token ${args.tokenId}${where}`
      : flags.user
        ? `every token of ${flags.user}${where}`
        : `every token of ${scope.libraryId}`
    this.print(changed ? `Revoked ${what}.` : `It was revoked before: ${what}.`)
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
    throw usage("A token's id and --user cannot be given together.", "one of them")
  }
  if (tokenId?.includes(".")) {
    throw usage("That is a token, not a token's id.", "the `jti` that `sync-admin token inspect` shows")
  }
  for (const [name, value] of Object.entries({ "token id": tokenId, "user's name": userId })) {
    if (value !== undefined && (value === "" || value.length > 200)) {
      throw usage(`That cannot be a ${name}.`, "1 to 200 characters")
    }
  }
  if (tokenId !== undefined) return { ...scope, tokenId }
  if (userId !== undefined) return { ...scope, userId }
  const { libraryId } = scope
  if (libraryId !== undefined) return { libraryId }
  throw usage("Nothing to revoke was named.", "a token's id, --user or --library")
}

const usage = (message: string, tryThis: string): CliFailure =>
  new CliFailure({ code: "USAGE", message, exitCode: 2, tryThis })
