/** Measures how long after an operator's command the clients of all processes hear of it. */
import { once } from "node:events"
import type { WebSocket } from "ws"
import { runCli } from "../harness/command.ts"
import { eachRound, inTurns, type Scenario } from "../harness/scenario.ts"
import { freshDatabase, LIBRARY, type Storage, startServer, tokenFor } from "../harness/servers.ts"
import { quantile } from "../harness/statistics.ts"
import { begin, connect } from "../loads/client.ts"
import { join } from "../loads/verdantClient.ts"

const PROCESSES: Readonly<Record<Storage, number>> = { sqlite: 1, postgres: 3 }
/** Clients on each process, for each protocol. */
const CLIENTS = 10
const TIMES = 5

/** All commands end connections, with one exception: after an eviction one client of a document is asked for a snapshot. */
const ACTIONS = {
  evict: ["evict", LIBRARY, "--yes"],
  "token revoke --user": ["token", "revoke", "--user"],
  suspend: ["suspend", LIBRARY]
} as const
type Action = keyof typeof ACTIONS

const measure = async (
  storage: Storage,
  action: Action
): Promise<ReadonlyArray<{ started: number; ended: number }>> => {
  const database = await freshDatabase(storage)
  const servers = []
  for (let i = 0; i < PROCESSES[storage]; i++) servers.push(await startServer("sealog", { database: database.url }))
  const results = []
  for (let time = 0; time < TIMES; time++) {
    const [user, documentId] = [`user-${time}`, `document-${time}`]
    const token = tokenFor(user)
    const author = await begin({ url: servers[0]!.url, token }, documentId, 1000)
    const documents: Array<WebSocket> = [author.socket]
    const libraries: Array<WebSocket> = []
    for (const { url } of servers) {
      for (let i = 0; i < CLIENTS; i++) {
        documents.push((await connect({ url, token }, documentId)).socket)
        libraries.push((await join(url, token)).client.socket)
      }
    }
    let last = 0
    const until = async (socket: WebSocket, event: string) => {
      await once(socket, event)
      last = performance.now()
    }
    const told = Promise.all([
      ...(action === "evict"
        ? [Promise.race(documents.map((socket) => until(socket, "message")))]
        : documents.map((socket) => until(socket, "close"))),
      ...libraries.map((socket) => until(socket, "close"))
    ])
    const start = performance.now()
    await runCli(database.url, ...ACTIONS[action], ...(action === "token revoke --user" ? [user] : []))
    const end = performance.now()
    await told
    results.push({ started: last - start, ended: Math.max(0, last - end) })
    for (const socket of [...documents, ...libraries]) socket.terminate()
    if (action === "suspend") await runCli(database.url, "resume", LIBRARY)
  }
  for (const server of servers) await server.stop()
  await database.remove()
  return results
}

export const scenario: Scenario = {
  title: `An operator's command reaches ${2 * CLIENTS} clients on each process`,
  keys: ["command", "storage", "processes"],
  rounds: eachRound((bench) => {
    const actions = Object.keys(ACTIONS) as ReadonlyArray<Action>
    const variants = bench.storages.flatMap((storage) => actions.map((action) => ({ storage, action })))
    return inTurns(bench, variants, async ({ storage, action }) => {
      const all = await measure(storage, action)
      const started = all.map(({ started }) => started)
      const ended = all.map(({ ended }) => ended)
      return {
        command: action,
        storage,
        processes: PROCESSES[storage],
        "last client told, ms after the command's start, p50": quantile(started, 0.5),
        "… worst": quantile(started, 1),
        "… worst, ms after its end": quantile(ended, 1)
      }
    })
  })
}
