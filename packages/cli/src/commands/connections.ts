import * as Flags from "@oclif/core/flags"
import type { OpenConnection } from "@sealog/server/ports"
import { flatMap } from "effect/Effect"
import { BaseCommand } from "../BaseCommand.ts"
import { adminClient, explained } from "../backends/adminApi.ts"
import { libraryIdOf } from "../input/ids.ts"
import { serverFlags, serverOf } from "../input/server.ts"
import { ago, bytes, table } from "../output/format.ts"

type Shown = Omit<OpenConnection, "documentId" | "tokenId"> & {
  readonly documentId: string | null
  readonly tokenId: string | null
}

interface ConnectionsResult {
  readonly connections: ReadonlyArray<Shown>
}

export default class Connections extends BaseCommand<ConnectionsResult> {
  static override summary = "List the clients that are connected to a server."
  static override description =
    "Asks one server, which knows the connections of all its workers. Behind a balancer, ask each server by its own address."
  static override examples = [
    "<%= config.bin %> connections --server https://sync.example.org",
    "<%= config.bin %> connections --library notes"
  ]
  static override flags = {
    ...serverFlags,
    library: Flags.string({ description: "only connections to this library" }),
    user: Flags.string({ description: "only connections of this user" })
  }

  async run(): Promise<ConnectionsResult> {
    const { flags } = await this.parse(Connections)
    const address = await serverOf(flags)
    const libraryId = flags.library === undefined ? undefined : libraryIdOf(flags.library)
    const query = { ...(libraryId && { libraryId }), ...(flags.user !== undefined && { userId: flags.user }) }
    const connections = await this.execute(
      explained(
        flatMap(adminClient(address), (client) => client.server.connections({ query })),
        address
      )
    )
    if (connections.length === 0 && libraryId !== undefined) {
      const { requireLibraryOn } = await import("../backends/administration/onServer.ts")
      await this.execute(requireLibraryOn(address, libraryId))
    }
    const rows = connections.map(({ documentId, id, libraryId, openedAt, protocol, userId, waitingBytes }) => [
      ...[id, protocol, libraryId, documentId ?? "", userId],
      ...[bytes(waitingBytes), ago(openedAt)]
    ])
    const header = ["CONNECTION", "PROTOCOL", "LIBRARY", "DOCUMENT", "USER", "UNSENT", "OPENED"]
    this.print(connections.length === 0 ? "No connections." : table(header, rows))
    return { connections }
  }
}
