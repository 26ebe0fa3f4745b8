/**
 * A soak: server processes, clients of both protocols that write without a pause, and faults in an order that a seed decides.
 *
 *   pnpm soak [--minutes 5] [--seed 1] [--storage sqlite|postgres]
 *
 * In the end the faults stop. Then nothing that was acknowledged may be missing, all clients and a newcomer must hold the same, the
 * log must replay, and the servers must not have grown. Processes are killed in the first third only, so that the memory of the
 * other two can be compared.
 */
import { parseArgs } from "node:util"
import * as JwtAccess from "@sealog/server/adapters/JwtAccess"
import { LibraryId } from "@sealog/server/domain/Ids"
import { Access } from "@sealog/server/ports/Access"
import { Clock, Effect, Redacted } from "effect"
import { makeRandom } from "../support/random.ts"
import { runCommand } from "../support/servers/ServerProcess.ts"
import { TOKEN_SECRET } from "../support/servers/TestServer.ts"
import { shiftedClock } from "../support/shiftedClock.ts"
import { Memory } from "./Memory.ts"
import type { Peer, Soak } from "./Peer.ts"
import { SecsyncPeer } from "./SecsyncPeer.ts"
import { type Servers, type StorageName, startServers } from "./Servers.ts"
import { VerdantPeer } from "./VerdantPeer.ts"

const { values } = parseArgs({
  options: {
    minutes: { type: "string", default: "5" },
    seed: { type: "string", default: String(Math.floor(Math.random() * 2 ** 32)) },
    storage: { type: "string", default: "sqlite" }
  }
})
const [minutes, seed] = [Number(values.minutes), Number(values.seed)]
if (!(minutes > 0) || !Number.isSafeInteger(seed) || !["sqlite", "postgres"].includes(values.storage)) {
  console.error("--minutes takes a number above 0, --seed a whole number, and --storage sqlite or postgres.")
  process.exit(2)
}

const DOCUMENTS = 4
const PEERS_OF_EACH = 3
/** Milliseconds between two numbers of a client, at most. */
const PACE = 150
/** Milliseconds between two faults, at most. */
const BETWEEN_FAULTS = 6000
const HOUR = 3_600_000
const MAX_PROBLEMS = 20
/** How long after the last fault every client must hold the same. */
const SETTLES_WITHIN = 90_000
/** The most that the last third may take above the middle third. */
const GROWTH = 1.1
/** Tokens are issued so long before the beginning: a clock that leaps back must not come before them. */
const TOKENS_BEFORE = 2 * HOUR

const random = makeRandom(seed)
const begun = Date.now()
const elapsed = () => Date.now() - begun
const total = minutes * 60_000
const problems: Array<string> = []
const report = (problem: string): void => {
  console.log(`${(elapsed() / 1000).toFixed(1)} s: ${problem}`)
  if (problems.length < MAX_PROBLEMS) problems.push(problem)
}
let longestBehind = 0
const wasBehind = (millis: number): void => {
  longestBehind = Math.max(longestBehind, millis)
}
const faults = new Map<string, number>()

const mint = (libraryId: string, userId: string) =>
  Effect.flatMap(Access, (access) =>
    access.mint({ libraryId: LibraryId.make(libraryId), userId, endpoint: "http://localhost/verdant" })
  ).pipe(Effect.provide(JwtAccess.layerTokens([Redacted.make(TOKEN_SECRET)])), Effect.orDie)

/** One fault; it returns when the fault is over. */
const makeFaults = (servers: Servers, peers: ReadonlyArray<Peer>, putBack: Effect.Effect<void>) => {
  const node = () => servers.nodes[random.next(servers.nodes.length)]!
  const lasting = (least: number, most: number) => Effect.sleep(least + random.next(most - least))
  const hole = (network: { readonly swallow: () => void; readonly heal: () => void }) =>
    Effect.acquireUseRelease(
      Effect.sync(() => network.swallow()),
      () => lasting(1000, 6000),
      () => Effect.sync(() => network.heal())
    )
  const everyPeer = (act: (peer: Peer) => void) => Effect.sync(() => peers.forEach(act))
  const always: Record<string, () => Effect.Effect<void>> = {
    freeze: () => {
      const { pid } = node().process
      return Effect.acquireUseRelease(
        Effect.sync(() => process.kill(pid, "SIGSTOP")),
        () => lasting(500, 7000),
        () => Effect.sync(() => process.kill(pid, "SIGCONT"))
      )
    },
    cut: () => everyPeer((peer) => random.next(2) === 0 && peer.cut()),
    blackHole: () => hole(node().network),
    leap: () =>
      Effect.gen(function* () {
        const leaping = node()
        leaping.leap(random.next(2 * HOUR) - HOUR)
        yield* lasting(1000, 5000)
        leaping.leap(0)
      })
  }
  const { crashDatabase, databaseNetwork } = servers
  if (crashDatabase !== undefined) always["databaseCrash"] = () => Effect.sync(crashDatabase)
  if (databaseNetwork !== undefined) always["databaseBlackHole"] = () => hole(databaseNetwork)
  const early: Record<string, () => Effect.Effect<void>> = {
    ...always,
    kill: () => node().restart("kill"),
    restart: () => node().restart("stop"),
    restore: () =>
      Effect.gen(function* () {
        yield* putBack
        yield* everyPeer((peer) => peer.forgive())
        // Acknowledgements of before may still be on their way.
        yield* Effect.sleep(500)
        yield* everyPeer((peer) => peer.forgive())
      })
  }
  return Effect.suspend(() => {
    const possible = elapsed() < total / 3 ? early : always
    const names = Object.keys(possible)
    const name = names[random.next(names.length)]!
    faults.set(name, (faults.get(name) ?? 0) + 1)
    return possible[name]!()
  })
}

const waitUntil = (holds: () => boolean, millis: number) =>
  Effect.suspend(() => (holds() ? Effect.succeed(true) : Effect.as(Effect.sleep(250), false))).pipe(
    Effect.repeat({ until: (holds) => holds }),
    Effect.timeoutOrElse({ duration: millis, orElse: () => Effect.succeed(false) })
  )

const soak = Effect.gen(function* () {
  const servers = yield* startServers(values.storage as StorageName)
  const world: Soak = {
    random,
    urls: servers.nodes.map(({ network }) => `ws://127.0.0.1:${network.port}`),
    report,
    wasBehind
  }
  const clock = yield* Clock.Clock
  const earlier = shiftedClock(clock, () => -TOKENS_BEFORE)
  const token = (userId: string) => Effect.provideService(mint("soak", userId), Clock.Clock, earlier)
  const peerOf = Effect.fnUntraced(function* (name: string, group: number) {
    const held = yield* token(name)
    return group < DOCUMENTS
      ? new SecsyncPeer(name, world, `document-${group}`, held)
      : new VerdantPeer(name, world, held)
  })
  const groups: Array<ReadonlyArray<Peer>> = []
  for (let group = 0; group <= DOCUMENTS; group++) {
    const count = group < DOCUMENTS ? PEERS_OF_EACH : 2 * PEERS_OF_EACH
    groups.push(
      yield* Effect.forEach(
        Array.from({ length: count }, (_, i) => `peer-${group}-${i}`),
        (name) => peerOf(name, group)
      )
    )
  }
  const peers = groups.flat()
  let isWriting = true
  for (const peer of peers) {
    peer.start()
    const write = () => {
      if (!isWriting) return
      peer.write()
      setTimeout(write, random.next(PACE))
    }
    setTimeout(write, 1000)
  }
  const looking = setInterval(() => {
    for (const peer of peers) {
      peer.look()
      if (peer instanceof SecsyncPeer) peer.flush()
    }
  }, 500)
  const memory = new Memory()
  const measuring = setInterval(() => void memory.look(elapsed() / total, servers.nodes), 1000)

  yield* Effect.sleep(5000)
  const putBack = yield* servers.backUp
  const happen = makeFaults(servers, peers, putBack)
  while (elapsed() < total && problems.length < MAX_PROBLEMS) {
    yield* happen
    yield* Effect.sleep(random.next(BETWEEN_FAULTS))
  }
  isWriting = false
  const isEqual = (group: ReadonlyArray<Peer>) => group.every(({ content }) => content === group[0]!.content)
  const isOver = () => peers.every(({ isSettled }) => isSettled) && groups.every(isEqual)
  if (!(yield* waitUntil(isOver, SETTLES_WITHIN))) {
    for (const peer of peers) if (!peer.isSettled) report(`${peer.name} is not acknowledged`)
    for (const group of groups) if (!isEqual(group)) report(`the clients of ${group[0]!.name} differ`)
  }
  clearInterval(measuring)
  for (const [i, group] of groups.entries()) {
    const newcomer = yield* peerOf(`newcomer-${i}`, i)
    newcomer.start()
    if (!(yield* waitUntil(() => isEqual([...group, newcomer]), SETTLES_WITHIN)))
      report(`a newcomer holds ${newcomer.content}, and ${group[0]!.name} ${group[0]!.content}`)
    newcomer.stop()
  }
  clearInterval(looking)
  for (const peer of peers) peer.stop()
  for (const { process } of servers.nodes) yield* process.stop
  const replayed = yield* runCommand(servers.database, "replay")
  if (replayed.exitCode !== 0) report(`replay ends with ${replayed.exitCode}: ${replayed.stdout}${replayed.stderr}`)
  const { last, middle } = memory.thirdsOf("resident")
  if (last > GROWTH * middle) report(`the servers grew from ${middle.toFixed(0)} to ${last.toFixed(0)} MiB`)
  const numbers = peers.reduce((sum, peer) => sum + peer.numbersWritten, 0)
  const connections = peers.reduce((sum, peer) => sum + peer.connections, 0)
  const happened = Array.from(faults, ([name, count]) => `${count} × ${name}`).join(", ")
  console.log(
    `${values.storage}, ${minutes} minutes, seed ${seed}: ${numbers} numbers written, ${connections} connections, ${happened}. ` +
      `Memory of the servers: ${middle.toFixed(0)} MiB in the middle third, ${last.toFixed(0)} MiB in the last ` +
      `(means in MiB: ${memory.table}). ` +
      `A document was behind for ${(longestBehind / 1000).toFixed(1)} s at most. ` +
      (problems.length === 0 ? "No problem." : `${problems.length} problems.`)
  )
}).pipe(Effect.scoped)

console.log(`soak of ${minutes} minutes on ${values.storage} with --seed ${seed}`)
await Effect.runPromise(soak)
process.exit(problems.length === 0 ? 0 : 1)
