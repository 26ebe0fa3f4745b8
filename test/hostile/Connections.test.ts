/** Attacks by clients that have no valid token. */
import { connect } from "node:net"
import { describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { vi } from "vitest"
import { askToUpgrade } from "../support/network/UpgradeByHand.ts"
import { until } from "../support/until.ts"
import { withstands } from "./UnderAttack.ts"

vi.setConfig({ testTimeout: 300_000 })

const SOCKETS = 200
const REQUESTS = 800

/** Sends many requests at once over one connection, and waits until the server ends it. */
const pipeline = (port: number): Effect.Effect<void> =>
  Effect.callback((resume) => {
    const socket = connect({ port, host: "127.0.0.1" })
    socket.on("error", () => {})
    socket.on("close", () => resume(Effect.void))
    socket.resume()
    socket.write("GET /healthz HTTP/1.1\r\nHost: server\r\n\r\n".repeat(REQUESTS))
    return Effect.sync(() => socket.destroy())
  })

/** Asks for upgrades that are refused, a hundred at a time. */
const upgradeBy = Effect.fnUntraced(function* (port: number, paths: ReadonlyArray<string>) {
  for (let round = 0; round < 15; round++) {
    let answered = 0
    for (let i = 0; i < 100; i++) {
      const socket = yield* askToUpgrade(port, paths[i % paths.length]!, { allowHalfOpen: true })
      socket.once("data", () => {
        answered += 1
      })
      socket.once("close", () => {
        answered += 1
      })
    }
    yield* until("the server has answered or ended each upgrade", () => answered >= 100)
  }
})

const LONG = 60_000
const noClocks = encodeURIComponent(JSON.stringify(Object.fromEntries(Array.from({ length: 2500 }, (_, i) => [i, 1]))))
const LONG_PATHS = [
  `/attacked?sessionKey=bad&knownSnapshotId=a&knownSnapshotUpdateClocks=${noClocks}`,
  `/attacked?sessionKey=bad&knownSnapshotId=a&knownSnapshotUpdateClocks=${"[".repeat(LONG)}`,
  `/attacked?${"a=&".repeat(LONG / 3)}`,
  `/verdant?${"a=&".repeat(LONG / 3)}`,
  `/attacked?sessionKey=${".".repeat(LONG)}`
]

describe("a client without a token does not hurt anyone", () => {
  it.live("with 200 connections that send 800 requests each without waiting", () =>
    withstands({
      attack: ({ server }) =>
        Effect.asVoid(
          Effect.all(
            Array.from({ length: SOCKETS }, () => pipeline(server.port)),
            { concurrency: "unbounded" }
          )
        )
    })
  )

  it.live("with 1,500 upgrades whose tokens are bad, and that never answer the closing handshake", () =>
    withstands({ attack: ({ server }) => upgradeBy(server.port, ["/attacked?sessionKey=bad"]) })
  )

  it.live("with 1,500 upgrades whose URLs are as long as a head may be", () =>
    withstands({ attack: ({ server }) => upgradeBy(server.port, LONG_PATHS) })
  )
})
