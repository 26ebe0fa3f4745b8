/** Requests to real servers in this process: polls, uploads and downloads. */
import { parseRange } from "@sealog/server/edge/http/files/Range"
import { Effect } from "effect"
import { BOUNDARY, bearer, formHeaders, rawForm, uploadFile } from "../../test/support/network/uploads.ts"
import { startFileServer } from "../../test/support/servers/FileServer.ts"
import { startMemoryServer } from "../../test/support/servers/TestServer.ts"
import { expect, type Fuzzer, textOf } from "../Fuzzer.ts"
import { chance, oneOf } from "../inputs/choose.ts"
import { hostileText } from "../inputs/hostile.ts"
import { mutate, mutateJson, mutateMessage } from "../inputs/mutate.ts"
import { httpClient, outcomeOf, request } from "../inputs/requests.ts"
import { LIBRARY, verdantMessages } from "../inputs/samples.ts"

export const poll: Fuzzer = {
  name: "poll",
  allows: "200, 400 or 413, and 503 to a replica that has to sync first.",
  inputs: 300,
  open: Effect.gen(function* () {
    const server = yield* startMemoryServer()
    const token = yield* server.token(LIBRARY, { type: "push" })
    const ask = yield* httpClient(server.port)
    return {
      input: (random) =>
        chance(random, 50)
          ? mutateMessage(random, [{ messages: verdantMessages }, { messages: verdantMessages.slice(1, 4) }])
          : Buffer.from(`{"messages":[${mutateJson(random, oneOf(random, verdantMessages))}]}`),
      feed: async (input) =>
        outcomeOf(
          await ask(
            request(
              ["POST /verdant HTTP/1.1", `Authorization: Bearer ${token}`, "Content-Type: application/json"],
              input
            )
          ),
          [400, 413, 503]
        )
    }
  })
}

export const FORMS = [
  rawForm({ filename: "a.txt", content: "hello" }),
  rawForm({ filename: "\u00e9\u{1F600}.png", type: "image/png", content: "\u0000\u0001" }),
  rawForm({ name: "other", content: "field" }),
  rawForm({ filename: "a", content: "x" }, { filename: "b", content: "y" }),
  rawForm({ filename: "large", content: "y".repeat(5000) })
]
const TYPES = [
  formHeaders["content-type"],
  `multipart/form-data; boundary="${BOUNDARY}"`,
  "multipart/form-data; boundary=",
  "multipart/form-data;charset=x",
  "text/plain"
]

export const upload: Fuzzer = {
  name: "upload",
  allows: "200, 400, 404, 413, 415 or 431.",
  inputs: 300,
  open: Effect.gen(function* () {
    const server = yield* startFileServer({ maxBytes: 4096 })
    const token = yield* server.token(LIBRARY)
    const ask = yield* httpClient(server.port)
    return {
      // The first line is the content type.
      input: (random) => {
        const type = chance(random, 80) ? TYPES[0]! : textOf(mutate(random, TYPES))
        return Buffer.concat([Buffer.from(`${oneLine(type)}\n`), mutate(random, FORMS)])
      },
      feed: async (input) => {
        const end = input.indexOf(10)
        const [type, body] = [textOf(input.subarray(0, Math.max(0, end))), input.subarray(end + 1)]
        const head = ["POST /verdant/files/f1 HTTP/1.1", `Authorization: Bearer ${token}`, `Content-Type: ${type}`]
        return outcomeOf(await ask(request(head, body)), [400, 404, 413, 415, 431])
      }
    }
  })
}

const HEADERS = ["Range", "If-Range", "If-None-Match", "Authorization", "Sec-WebSocket-Protocol", "X-Forwarded-Proto"]
const RANGES = [
  "bytes=0-4",
  "bytes=-3",
  "bytes=9-",
  "bytes=4-2",
  "bytes=0-1,3-4",
  "bytes=999999999999999-",
  "BYTES = 0 - 1"
]

export const download: Fuzzer = {
  name: "download",
  allows: "200, 206, 304, 400, 401, 404, 414, 416 or 431.",
  inputs: 500,
  open: Effect.gen(function* () {
    const server = yield* startFileServer()
    const token = yield* server.token(LIBRARY)
    yield* uploadFile(server, token, "f1", new File(["0123456789"], "a.txt", { type: "text/plain" }))
    const information = yield* Effect.promise(async () => {
      const response = await fetch(`${server.url}/f1`, { headers: bearer(token) })
      return (await response.json()) as { readonly url: string }
    })
    const link = information.url.slice(information.url.indexOf("/verdant"))
    const ask = yield* httpClient(server.port)
    return {
      // A path on the first line, then headers.
      input: (random) => {
        const path = chance(random, 50) ? link : textOf(mutate(random, [link, "/verdant/files/f1", "/verdant/files/%"]))
        const values = [() => textOf(mutate(random, RANGES)), () => hostileText(random), () => `Bearer ${token}`]
        const headers = Array.from(
          { length: random.next(4) },
          () => `${oneOf(random, HEADERS)}: ${oneOf(random, values)()}`
        )
        return Buffer.from([path, ...headers].map(oneLine).join("\n"), "latin1")
      },
      feed: async (input) => {
        const [path = "", ...headers] = Buffer.from(input).toString("latin1").split("\n").map(oneLine)
        const answer = await ask(request([`GET ${path} HTTP/1.1`, ...headers]))
        return outcomeOf(answer, [400, 401, 404, 414, 416, 431])
      }
    }
  })
}

export const range: Fuzzer = {
  name: "range",
  allows: "the whole, a part inside of the file, or unsatisfiable; never throws.",
  inputs: 30_000,
  open: Effect.succeed({
    input: (random) => mutate(random, RANGES),
    feed: (input) => {
      for (const size of [0, 1, 10, 5_000_000_000]) {
        const range = parseRange(textOf(input), size)
        if (range._tag !== "Part") continue
        expect(
          range.offset >= 0 && range.length > 0 && range.offset + range.length <= size,
          "a part is inside of the file"
        )
      }
      return parseRange(textOf(input), 10)._tag === "Unsatisfiable" ? "refusal" : "value"
    }
  })
}

/** A request's head is lines, so an input of a line has no end of a line. Other control characters stay. */
const oneLine = (text: string): string => text.replace(/[\r\n]/g, "")
