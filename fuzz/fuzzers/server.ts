/** A server process that clients of both protocols attack over WebSockets and HTTP. */
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import {
  type Author,
  ephemeralMessage,
  makeAuthor,
  resign,
  snapshotMessage,
  updateMessage
} from "@sealog/server/testing"
import { SqliteStorage } from "@sealog/storage-sqlite"
import { Effect } from "effect"
import { WebSocket } from "ws"
import { formHeaders } from "../../test/support/network/uploads.ts"
import type { Random } from "../../test/support/random.ts"
import { mintToken, spawnServer } from "../../test/support/servers/ServerProcess.ts"
import { expect, type Fuzzer, textOf } from "../Fuzzer.ts"
import { chance, few, oneOf } from "../inputs/choose.ts"
import { hostileText } from "../inputs/hostile.ts"
import { mutate, mutateJson, mutateMessage } from "../inputs/mutate.ts"
import { httpClient, outcomeOf, request } from "../inputs/requests.ts"
import { LIBRARY, verdantMessages } from "../inputs/samples.ts"
import { FORMS } from "./http.ts"
import { secsyncUrls } from "./urls.ts"

const DOCUMENT = "welcome"
/** Milliseconds after which a connection that was neither answered nor closed is a finding. */
const PATIENCE = 20_000
/** "internal error": the server's own fault (RFC 6455 section 7.4.1). */
const INTERNAL_ERROR = 1011

/** The first line of an input says which way it takes; the other lines are frames, or a request's path and body. */
const WAYS = ["secsync", "verdant", "upgrade", "poll", "upload", "get"] as const

export const serverProcess: Fuzzer = {
  name: "server",
  allows: "answers, refusals and closed connections; no status from 500, no close code 1011, and the process lives.",
  inputs: 200,
  open: Effect.gen(function* () {
    const directory = yield* Effect.acquireRelease(
      Effect.sync(() => mkdtempSync(join(tmpdir(), "sealog-fuzz-"))),
      (folder) => Effect.sync(() => rmSync(folder, { recursive: true, force: true }))
    )
    const filename = join(directory, "sealog.db")
    yield* Effect.orDie(SqliteStorage.applyMigrations({ filename }))
    const server = yield* spawnServer(`sqlite:${filename}`, { args: ["--files", join(directory, "files")] })
    const token = yield* mintToken(LIBRARY)
    const ask = yield* httpClient(server.port)
    const author = makeAuthor()
    const frames = (random: Random, one: () => Uint8Array): Buffer =>
      Buffer.from(Array.from({ length: few(random, 5) }, () => Buffer.from(one()).toString("base64")).join("\n"))

    const inputs: Readonly<Record<(typeof WAYS)[number], (random: Random) => Uint8Array>> = {
      secsync: (random) => frames(random, () => secsyncFrame(random, author)),
      verdant: (random) => frames(random, () => mutateMessage(random, verdantMessages)),
      upgrade: (random) =>
        chance(random, 50)
          ? Buffer.from(`/${encodeURIComponent(hostileText(random).toWellFormed())}?sessionKey=${token}`)
          : mutate(random, secsyncUrls),
      poll: (random) => Buffer.from(`{"messages":[${mutateJson(random, oneOf(random, verdantMessages))}]}`),
      upload: (random) => mutate(random, FORMS),
      get: (random) =>
        mutate(random, ["/healthz", "/verdant", "/verdant/files/f1", "/verdant/files/f1/content?a=b", "/"])
    }
    const feeds: Readonly<Record<(typeof WAYS)[number], (content: Uint8Array) => Promise<"value" | "refusal">>> = {
      secsync: (content) =>
        converse(
          `${server.url}/${DOCUMENT}?sessionKey=${token}`,
          [],
          [...framesOf(content), JSON.stringify(ephemeralMessage(author, { docId: DOCUMENT }))]
        ),
      verdant: (content) =>
        converse(
          `${server.url}/verdant`,
          ["Bearer", token],
          [...framesOf(content), JSON.stringify({ type: "heartbeat" })]
        ),
      upgrade: async (content) => {
        const path = Buffer.from(content)
          .toString("latin1")
          .replace(/[\r\n]/g, "")
        const upgrade = ["Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13"]
        const answer = await ask(
          request([`GET ${path} HTTP/1.1`, ...upgrade, "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="])
        )
        return answer.status === 101 ? "value" : outcomeOf(answer, [0, 400, 401, 403, 404, 414, 431])
      },
      poll: async (content) => {
        const head = ["POST /verdant HTTP/1.1", `Authorization: Bearer ${token}`, "Content-Type: application/json"]
        return outcomeOf(await ask(request(head, content)), [400, 413, 503])
      },
      upload: async (content) => {
        const head = ["POST /verdant/files/f1 HTTP/1.1", `Authorization: Bearer ${token}`]
        const type = `Content-Type: ${formHeaders["content-type"]}`
        return outcomeOf(await ask(request([...head, type], content)), [400, 413, 415])
      },
      get: async (content) => {
        const path = Buffer.from(content)
          .toString("latin1")
          .replace(/[\r\n]/g, "")
        const answer = await ask(request([`GET ${path} HTTP/1.1`]))
        return outcomeOf(answer, [400, 401, 403, 404, 405, 414, 426, 431])
      }
    }
    let fed = 0
    return {
      input: (random) => {
        const way = oneOf(random, WAYS)
        return Buffer.concat([Buffer.from(`${way}\n`), inputs[way](random)])
      },
      feed: async (input) => {
        const end = input.indexOf(10)
        const way = textOf(input.subarray(0, end))
        const feed = Object.hasOwn(feeds, way) ? feeds[way as (typeof WAYS)[number]] : undefined
        if (feed === undefined) return "refusal"
        const outcome = await feed(input.subarray(end + 1))
        if (++fed % 20 === 0) {
          const { status } = await ask(request(["GET /healthz HTTP/1.1"]))
          expect(status === 200, `the server is healthy: ${status}`)
        }
        return outcome
      }
    }
  })
}

const framesOf = (content: Uint8Array): ReadonlyArray<string> =>
  textOf(content)
    .split("\n")
    .map((line) => Buffer.from(line, "base64").toString())

/** A message with a right signature and hostile content, or any changed message. */
const secsyncFrame = (random: Random, author: Author): Uint8Array => {
  const snapshot = snapshotMessage(author, { docId: DOCUMENT })
  const messages = [
    snapshot,
    updateMessage(author, { docId: DOCUMENT, refSnapshotId: snapshot.publicData.snapshotId, clock: 0 }),
    ephemeralMessage(author, { docId: DOCUMENT })
  ]
  if (chance(random, 50)) return mutateMessage(random, messages)
  const message = oneOf<Parameters<typeof resign>[1]>(random, messages)
  try {
    const { publicData } = JSON.parse(mutateJson(random, { publicData: message.publicData })) as { publicData: object }
    return Buffer.from(JSON.stringify(resign(author, message, publicData as never)))
  } catch {
    // No canonical JSON: nothing that a client could sign.
    return mutateMessage(random, messages)
  }
}

/** Sends frames, and resolves at the answer to the last one or at the end of the connection. */
const converse = (url: string, protocols: Array<string>, frames: ReadonlyArray<string>): Promise<"value" | "refusal"> =>
  new Promise((resolve, reject) => {
    const socket = new WebSocket(url, protocols)
    const timer = setTimeout(() => {
      socket.terminate()
      reject(new Error(`Neither answered nor closed within ${PATIENCE} ms`))
    }, PATIENCE)
    const end = (finish: () => void): void => {
      clearTimeout(timer)
      socket.terminate()
      finish()
    }
    socket.on("open", () => {
      for (const frame of frames) socket.send(frame)
      // The server answers a ping after the frames before it, or closes the connection.
      socket.ping()
    })
    socket.on("message", (data) => {
      const { type } = JSON.parse(String(data)) as { readonly type: string }
      if (type === "heartbeat-response") end(() => resolve("value"))
    })
    if (protocols.length === 0) socket.on("pong", () => end(() => resolve("value")))
    socket.on("close", (code) =>
      end(() => (code === INTERNAL_ERROR ? reject(new Error("The server closes with 1011")) : resolve("refusal")))
    )
    socket.on("error", (error) => end(() => reject(error)))
  })
