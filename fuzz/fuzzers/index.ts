/** Every fuzzer that runs by itself. `server.ts` is the one that attacks a server process. */
import type { Fuzzer } from "../Fuzzer.ts"
import { jsonBudget, madeFrame, secsyncFrame, verdantFrame } from "./frames.ts"
import { requestHead } from "./heads.ts"
import { download, poll, range, upload } from "./http.ts"
import { serverProcess } from "./server.ts"
import { signal } from "./signals.ts"
import { libraryPayload, packedPayload, storedEvent } from "./stored.ts"
import { bearerHeader, token } from "./tokens.ts"
import { exportLine, importedFile } from "./transfer.ts"
import { connectionUrl, fileLink } from "./urls.ts"
import { verdantDatabase } from "./verdantDatabase.ts"

export const fuzzers: ReadonlyArray<Fuzzer> = [
  ...[secsyncFrame, verdantFrame, jsonBudget, madeFrame],
  ...[connectionUrl, fileLink, token, bearerHeader, requestHead],
  ...[poll, upload, download, range],
  ...[signal, exportLine, importedFile, verdantDatabase],
  ...[storedEvent, packedPayload, libraryPayload],
  serverProcess
]
