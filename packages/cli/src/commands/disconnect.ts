import * as Args from "@oclif/core/args"
import * as Flags from "@oclif/core/flags"
import { flatMap } from "effect/Effect"
import { BaseCommand } from "../BaseCommand.ts"
import { adminClient, explained } from "../backends/adminApi.ts"
import { libraryIdOf } from "../input/ids.ts"
import { serverFlags, serverOf } from "../input/server.ts"
import { CliFailure } from "../output/CliFailure.ts"
import { count } from "../output/format.ts"

interface DisconnectResult {
  readonly disconnected: number
}

export default class Disconnect extends BaseCommand<DisconnectResult> {
  static override summary = "Close connections of clients to a server."
  static override description =
    "Clients come back at once, with what they have not sent yet. To keep a client out, use `sync-admin token revoke`; to close a library, `sync-admin suspend`. Asks one server, which closes the connections of all its workers."
  static override examples = [
    "<%= config.bin %> disconnect mbE_aTkn3EGMMzXw",
    "<%= config.bin %> disconnect --library notes --user ada",
    "<%= config.bin %> disconnect --all --server https://sync.example.org"
  ]
  static override args = {
    connection: Args.string({ description: "id of one connection, as `sync-admin connections` lists it" })
  }
  static override flags = {
    ...serverFlags,
    library: Flags.string({ description: "connections to this library" }),
    user: Flags.string({ description: "connections of this user" }),
    all: Flags.boolean({ description: "all connections of the server", exclusive: ["library", "user"] })
  }

  async run(): Promise<DisconnectResult> {
    const { args, flags } = await this.parse(Disconnect)
    const libraryId = flags.library === undefined ? undefined : libraryIdOf(flags.library)
    const named = {
      ...(args.connection !== undefined && { id: args.connection }),
      ...(libraryId !== undefined && { libraryId }),
      ...(flags.user !== undefined && { userId: flags.user })
    }
    if (Object.keys(named).length === 0 && !flags.all) {
      throw new CliFailure({
        code: "USAGE",
        message: "Name a connection, a library or a user.",
        exitCode: 2,
        tryThis: "sync-admin disconnect --library NAME, or --all for every connection of the server"
      })
    }
    const address = await serverOf(flags)
    const payload = flags.all ? { all: true as const } : named
    const { disconnected } = await this.execute(
      explained(
        flatMap(adminClient(address), (client) => client.server.disconnect({ payload })),
        address
      )
    )
    if (disconnected === 0 && libraryId !== undefined) {
      const { requireLibraryOn } = await import("../backends/administration/onServer.ts")
      await this.execute(requireLibraryOn(address, libraryId))
    }
    this.print(disconnected === 0 ? "No such connections." : `Closed ${count(disconnected, "connection")}.`)
    return { disconnected }
  }
}
