/**
 * A thousand clients with valid tokens that together try to fill the server's memory. The process takes no more than the sum
 * of its limits, which docs/limits.md has.
 */
import { readFileSync } from "node:fs"
import type { Socket } from "node:net"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { ephemeralMessage, makeAuthor, snapshotMessage, updateMessage } from "@sealog/server/testing"
import { Effect } from "effect"
import { vi } from "vitest"
import { connectRaw } from "../support/clients/RawSecsync.ts"
import { askToUpgrade, frameHeader } from "../support/network/UpgradeByHand.ts"
import { mintToken } from "../support/servers/ServerProcess.ts"
import { until } from "../support/until.ts"
import { type Battle, withstands } from "./UnderAttack.ts"

vi.setConfig({ testTimeout: 300_000 })

const MIB = 1024 * 1024
/** The server's heap in MiB. */
const HEAP = 512
/** The sum of the limits for this heap and a thousand connections, in MiB, as the page of limits has it. */
const maxMemory = (): number => {
  const page = readFileSync(join(import.meta.dirname, "../../docs/limits.md"), "utf8")
  const sum = /^\| together +\| +\| ([\d,]+) MiB/m.exec(page)?.[1]
  assert.isDefined(sum, "docs/limits.md has the sum")
  return Number(sum!.replaceAll(",", ""))
}

/** Clients of each kind: a thousand together. */
const IDLE = 450
const NEVER_ENDING = 300
const TAKING_NOTHING = 200
const FLOODING = 50
/** Clients that connect at the same time. */
const AT_ONCE = 50

/** The attacked document: each client that is sent its updates has a frame of its own. */
const UPDATES = 160
const UPDATE_BYTES = 50 * 1024

const endless = Buffer.alloc(31 * MIB - 1, "x")

/** Two hundred frames of 1 KB, each with the same ephemeral message: they are genuine, so their client is not sent away. */
const floodOf = (docId: string): Buffer => {
  const text = Buffer.from(JSON.stringify(ephemeralMessage(makeAuthor(), { docId, ciphertext: 500 })))
  const header = Buffer.alloc(8)
  header.set([0x81, 0x80 | 126])
  header.writeUInt16BE(text.length, 2)
  return Buffer.concat(Array.from({ length: 200 }, () => Buffer.concat([header, text])))
}

/** A document of 8 MB that was never compacted, and the id of its snapshot. */
const startLargeDocument = Effect.fnUntraced(function* ({ library, server }: Battle) {
  const token = yield* library.token({ userId: "mallory" })
  const client = yield* connectRaw({ url: server.url, documentId: "attacked", token })
  const author = makeAuthor()
  const snapshot = snapshotMessage(author, { docId: "attacked" })
  client.send(snapshot)
  yield* client.next("snapshot-saved")
  const { snapshotId: refSnapshotId } = snapshot.publicData
  for (let clock = 0; clock < UPDATES; clock++) {
    client.send(updateMessage(author, { docId: "attacked", refSnapshotId, clock, ciphertext: UPDATE_BYTES }))
    yield* client.next("update-saved")
  }
  return refSnapshotId
})

/** Connects so many clients to a document. `attack` is called once the server has accepted the upgrade. */
const connectMany = Effect.fnUntraced(function* (
  { library, server }: Battle,
  path: string,
  count: number,
  attack: (socket: Socket) => void
) {
  const sockets: Array<Socket> = []
  while (sockets.length < count) {
    let open = 0
    for (let i = 0; i < AT_ONCE && sockets.length < count; i++) {
      const token = yield* library.token({ userId: "mallory" })
      const forwardedFor = `203.0.113.${sockets.length % 100}`
      const socket = yield* askToUpgrade(server.port, `${path}sessionKey=${token}`, { forwardedFor })
      sockets.push(socket)
      socket.once("data", () => {
        open += 1
        attack(socket)
      })
      socket.once("close", () => {
        open += 1
      })
    }
    const expected = Math.min(AT_ONCE, sockets.length % AT_ONCE === 0 ? AT_ONCE : sockets.length % AT_ONCE)
    yield* until(
      "the clients are connected",
      () => open >= expected,
      () => ({ open, of: sockets.length })
    )
  }
  return sockets
})

const attack = Effect.fnUntraced(function* (battle: Battle) {
  const known = yield* startLargeDocument(battle)
  yield* connectMany(battle, "/idle?", IDLE, () => {})
  const endlessOnes = yield* connectMany(battle, "/idle?", NEVER_ENDING, (socket) => {
    socket.write(frameHeader(endless.length + 1))
    socket.write(endless)
  })
  const path = `/attacked?mode=delta&knownSnapshotId=${known}&`
  yield* connectMany(battle, path, TAKING_NOTHING, (socket) => void socket.pause())
  const flood = floodOf("flooded")
  yield* connectMany(battle, "/flooded?", FLOODING, (socket) => {
    socket.pause()
    const write = () => {
      while (!socket.destroyed && socket.write(flood));
    }
    socket.on("drain", write)
    write()
  })

  // Another user's snapshot of 10 MB is stored all the same.
  const token = yield* mintToken(battle.library.id, "ada")
  const honest = yield* connectRaw({ url: battle.server.url, documentId: "honest", token })
  honest.send(snapshotMessage(makeAuthor(), { docId: "honest", ciphertext: 10 * MIB }))
  yield* honest.next("snapshot-saved")
  const isEnded = (socket: Socket) => socket.destroyed || socket.readableEnded
  yield* until("the server has ended messages that never end", () => endlessOnes.filter(isEnded).length >= 2)
  assert.isTrue(honest.isOpen())
})

describe("a thousand hostile clients with valid tokens", () => {
  it.live("take no more memory than the sum of the limits, and hold up nobody else", () =>
    withstands({
      heap: HEAP,
      maxMemory: maxMemory(),
      args: ["--trusted-proxy", "127.0.0.1"],
      attack: (battle) => Effect.scoped(attack(battle))
    })
  )
})
