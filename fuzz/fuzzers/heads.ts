/** The first bytes of connections, from which the parent of workers takes the key. */
import { HeadBytes, parseHead } from "@sealog/server/workers/RequestHead"
import { routeKeyOf } from "@sealog/server/workers/routeKey"
import { Effect } from "effect"
import { expect, type Fuzzer } from "../Fuzzer.ts"
import { chance } from "../inputs/choose.ts"
import { hostileText } from "../inputs/hostile.ts"
import { mutate } from "../inputs/mutate.ts"

const token = `x.${Buffer.from('{"lib":"notes","sub":"ada"}').toString("base64url")}.x`

const HEADS = [
  "GET /welcome?sessionKey=a.b.c HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n\r\n",
  `GET /verdant HTTP/1.1\r\nUpgrade: websocket\r\nSec-WebSocket-Protocol: Bearer, ${token}\r\n\r\n`,
  `POST /verdant HTTP/1.1\r\nAuthorization: Bearer ${token}\r\nContent-Length: 2\r\n\r\n{}`,
  `GET /verdant/files/one HTTP/1.0\r\nauthorization:bearer ${token}\r\n\r\n`
]

export const requestHead: Fuzzer = {
  name: "request-head",
  allows: "a key, or undefined; never throws.",
  inputs: 20_000,
  open: Effect.succeed({
    input: (random) =>
      chance(random, 70)
        ? mutate(random, HEADS)
        : Buffer.from(`GET /${hostileText(random)} HTTP/1.1\r\n${hostileText(random)}: ${hostileText(random)}\r\n\r\n`),
    feed: (input) => {
      const bytes = Buffer.from(input)
      const [whole, cut] = [new HeadBytes(), new HeadBytes()]
      const isComplete = whole.add(bytes)
      const middle = bytes.length >> 1
      const isCompleteInParts = cut.add(bytes.subarray(0, middle)) || cut.add(bytes.subarray(middle))
      expect(isComplete === isCompleteInParts, "a head is complete however it arrives")
      const head = parseHead(bytes)
      if (head === undefined) return "refusal"
      expect(isComplete, "a head that is parsed is complete")
      return routeKeyOf(head, "") === undefined ? "refusal" : "value"
    }
  })
}
