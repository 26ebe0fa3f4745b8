/** A name is checked against the log before a command writes to it: a typo would make a library that stays for good. */
import { EventLog, type LibraryId } from "@sealog/server/ports"
import * as Effect from "effect/Effect"
import type { ServerAddress } from "../input/server.ts"
import { noSuchLibrary } from "../output/notFound.ts"
import { onServer } from "./administration/onServer.ts"

/** Fails with `NO_SUCH_LIBRARY` if the log holds nothing of the library. */
export const requireLibrary = Effect.fnUntraced(function* (libraryId: LibraryId) {
  const { countStreams } = yield* EventLog
  if ((yield* countStreams(libraryId)) === 0) return yield* Effect.fail(noSuchLibrary(libraryId))
})

/** The same, of the log of a server. */
export const requireLibraryOn = (address: ServerAddress, libraryId: LibraryId) =>
  Effect.flatMap(onServer(address), ({ library }) => library(libraryId))
