/** The clients that are connected to this process by WebSocket. */
import { Context } from "effect"
import type { LibraryId } from "../domain/Ids.ts"

export interface OpenConnection {
  /** Unique among all processes. Events of the log carry it as their `origin`. */
  readonly id: string
  readonly protocol: "secsync" | "verdant"
  readonly libraryId: LibraryId
  readonly userId: string
  /** A Secsync document; undefined: the library's Verdant data. */
  readonly documentId: string | undefined
  /** The claim `jti` of the client's token. */
  readonly tokenId: string | undefined
  /** Milliseconds since 1970. */
  readonly openedAt: number
  /** Bytes that the client was sent and has not taken. */
  readonly waitingBytes: number
  /** When the client's token ends, milliseconds since 1970. The connection ends with it, unless the client sends a new token. */
  readonly endsAt: number
  /**
   * - `live`: the client has taken all that it was sent.
   * - `behind`: it has not yet.
   * - `leaving`: the server closes the connection, and answers what it has received.
   */
  readonly state: "live" | "behind" | "leaving"
}

/** The connections of a library, of a user, of both, or one connection by its id. All, if nothing is named. */
export interface NamedConnections {
  readonly id?: string | undefined
  readonly libraryId?: LibraryId | undefined
  readonly userId?: string | undefined
}

export const isNamed =
  ({ id, libraryId, userId }: NamedConnections) =>
  (connection: OpenConnection): boolean =>
    (id === undefined || connection.id === id) &&
    (libraryId === undefined || connection.libraryId === libraryId) &&
    (userId === undefined || connection.userId === userId)

export class Connections extends Context.Service<
  Connections,
  {
    /** The clients that were admitted, the oldest first. */
    readonly list: () => ReadonlyArray<OpenConnection>
    /**
     * Closes connections with 1013: their clients come back. To keep a client out, revoke its token. Returns the number of
     * connections that it closed.
     */
    readonly disconnect: (matches: (connection: OpenConnection) => boolean) => number
  }
>()("@sealog/server/Connections") {}
