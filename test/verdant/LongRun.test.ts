/**
 * A long random test of one library. Real clients of both transports connect and leave over bad networks. The server is
 * stopped and killed, compacts as early as possible, evicts the library and marks replicas as truant. All clients must
 * converge, and no acknowledged operation may be lost.
 *
 * It runs only on request, on one of the storages:
 * TEST_OPERATIONS=10000 npx -y pnpm@12.21.0 exec vitest run --project sqlite test/verdant/LongRun.test.ts
 * TEST_SEED repeats the same actions; their timing differs from run to run.
 */
import { assert, describe, it } from "@effect/vitest"
import { Array, Effect, type Scope } from "effect"
import { makeRandom, type Random } from "../support/random.ts"
import { runCommand, type ServerProcess, spawnServer } from "../support/servers/ServerProcess.ts"
import { freshStorage } from "../support/storage/databases.ts"
import { until } from "../support/until.ts"
import { documentSnapshots, evict, forceTruant, pruned } from "../support/verdant/admin.ts"
import { changeFlat, changeOf, FLAT } from "../support/verdant/changes.ts"
import { type Ledger, makeLedger } from "../support/verdant/Ledger.ts"
import { type Library, libraryOn } from "../support/verdant/Library.ts"
import { makePerson, type Person } from "../support/verdant/Person.ts"
import {
  canonical,
  type Doc,
  describeClient,
  openClient,
  untilShown,
  type VerdantClient
} from "../support/verdant/VerdantClient.ts"

const OPERATIONS = Number(process.env["TEST_OPERATIONS"] ?? 10_000)
/** Far more than a run takes. */
const TIMEOUT_MILLIS = 600_000 + OPERATIONS * 500
/** After each round every client is online, and all must have converged. */
const OPERATIONS_A_ROUND = 75
/** Operations between two failures. */
const OPERATIONS_A_STRETCH = 8
/** A new client joins after so many rounds. */
const NEWCOMER_EVERY = 10

/** Lists to which clients only add. */
const JOURNALS = Array.makeBy(8, (n) => `journal ${n}`)
/** Items that clients change in every way. */
const ITEMS = Array.makeBy(3, (n) => `item ${n}`)

interface World {
  readonly random: Random
  readonly database: string
  readonly library: Library
  readonly people: ReadonlyArray<Person>
  readonly ledger: Ledger
  server: ServerProcess
  /** Operations so far. */
  operations: number
}

const pick = <A>({ next }: Random, all: ReadonlyArray<A>): A => all[next(all.length)]!

// ------------------------------------------------------------------------------------------------------------ work

const addToJournal = Effect.fnUntraced(function* ({ ledger, operations, random }: World, person: Person) {
  const client = person.client()
  const before = { resets: person.resets(), network: client.network }
  const text = `<${person.user} ${operations}>`
  yield* client.edit(pick(random, JOURNALS), (item) => item.get("tags").push(text))
  ledger.note(text, person, before)
})

const changeItem = ({ operations, random }: World, person: Person) =>
  person.client().edit(pick(random, ITEMS), changeOf(random, `${person.user} ${operations}`))

const changeDocuments = ({ operations, random }: World, person: Person) =>
  changeFlat(random, person.client(), `${person.user} ${operations}`)

const work = Effect.fnUntraced(function* (world: World, times: number) {
  for (let i = 0; i < times; i++) {
    world.operations += 1
    const person = pick(world.random, world.people)
    const kind = pick(world.random, [addToJournal, addToJournal, changeItem, changeDocuments])
    // A device that is reset at this moment has no document to change.
    yield* Effect.ignoreCause(kind(world, person))
  }
})

// -------------------------------------------------------------------------------------------------------- troubles

type Trouble = (world: World) => Effect.Effect<unknown, never, Scope.Scope>

const start = ({ database, server }: Pick<World, "database"> & { readonly server?: ServerProcess }) =>
  spawnServer(database, { ...(server && { port: server.port }), program: COMPACTING })

const COMPACTING = [`${import.meta.dirname}/../support/servers/serveCompacting.ts`]

const restart = (end: "kill" | "stop"): Trouble =>
  Effect.fnUntraced(function* (world) {
    yield* world.server[end]
    yield* work(world, 3)
    world.server = yield* start(world)
  })

const RESTARTS: Readonly<Record<string, Trouble>> = { kill: restart("kill"), stop: restart("stop") }

const TROUBLES: Readonly<Record<string, Trouble>> = {
  cut: ({ people, random }) => Effect.sync(() => pick(random, people).client().network.cut()),
  drop: ({ people, random }) => Effect.sync(() => pick(random, people).client().network.drop()),
  mend: ({ people }) => Effect.sync(() => mendAll(people)),
  leave: ({ people, random }) => {
    const person = pick(random, people)
    return person.isAway() ? Effect.void : leave(person)
  },
  return: ({ people, random }) => {
    const { goOnline, isAway, client } = pick(random, people)
    client().network.mend()
    return isAway() ? goOnline : Effect.void
  },
  reopen: ({ people, random }) => pick(random, people).reopen,
  evict: ({ database, ledger, library }) => {
    ledger.evicted()
    return evict(database, library)
  },
  forget: ({ database, library, people, random }) =>
    Effect.flatMap(pick(random, people).client().replicaId, (id) => forceTruant(database, library, id))
}

/** Waits for the connection first: the store (5.5) never syncs again if it is stopped while it waits to reconnect. */
const leave = ({ client, goOffline, user }: Person) =>
  Effect.suspend(() => {
    client().network.mend()
    return Effect.andThen(
      until(`${user} is connected`, () => client().isOnline() || client().hasFailed()),
      goOffline
    )
  })

const mendAll = (people: ReadonlyArray<Person>) => {
  for (const person of people) person.client().network.mend()
}

// ------------------------------------------------------------------------------------------------------------- end

const documentsOf = (client: VerdantClient) =>
  Effect.map(Effect.all([client.documents(), client.documents(FLAT)]), ([items, categories]) => ({
    items,
    categories
  }))

/** Waits until all clients have the server's documents and have sent everything; returns the items. */
const untilSettled = Effect.fnUntraced(function* (world: World, newcomers: ReadonlyArray<VerdantClient> = []) {
  const { database, library, people } = world
  let seen: ReadonlyArray<string> = []
  let items: ReadonlyArray<Doc> = []
  const clients = () => [...people.map(({ client }) => client()), ...newcomers]
  const isSo = Effect.gen(function* () {
    // After a reset, the store (5.5) may hide nested documents until the app is opened again.
    for (const person of people) if (person.needsReopening()) yield* person.reopen
    if (!clients().every((client) => client.isSettled())) return false
    const all = yield* Effect.forEach(clients(), documentsOf)
    items = all[0]!.items
    seen = all.map(({ items, categories }) => canonical([items, categories]))
    if (seen.some((documents) => documents !== seen[0])) return false
    const held = yield* Effect.all([
      documentSnapshots(database, library, "item"),
      documentSnapshots(database, library, FLAT)
    ])
    seen = [...seen, canonical(pruned(held))]
    return seen.at(-1) === seen[0]
  })
  const describe = () => ({ seen, clients: clients().map(describeClient) })
  yield* untilShown(`all have the same after ${world.operations} operations`, clients, isSo, describe)
  return items
})

const settle = Effect.fnUntraced(function* (world: World, newcomers: ReadonlyArray<VerdantClient> = []) {
  const { ledger, people } = world
  mendAll(people)
  for (const { goOnline, isAway } of people) if (isAway()) yield* goOnline
  const items = yield* untilSettled(world, newcomers)
  const texts = items.filter(({ id }) => id.startsWith("journal")).flatMap(({ tags }) => tags)
  assert.deepStrictEqual(ledger.missing(new Set(texts)), [], `lost by ${world.operations} operations`)
  assert.strictEqual(new Set(texts).size, texts.length, "no text is stored twice")
  // Forgets the messages so far, so that a long run does not search ever more of them.
  for (const person of people) {
    const { received, sent, statuses } = person.client().network
    for (const said of [received, sent, statuses]) said.length = 0
  }
  // A restored library may lack these documents.
  const lacking = [...JOURNALS, ...ITEMS].filter((id) => !items.some((item) => item.id === id))
  for (const id of lacking) yield* people[0]!.client().put({ id })
  if (lacking.length > 0) yield* untilSettled(world, newcomers)
})

const welcome = (world: World) =>
  Effect.scoped(
    Effect.gen(function* () {
      const { database, library } = world
      const newcomer = yield* openClient({ library, user: `newcomer ${world.operations}` })
      yield* settle(world, [newcomer])
      // It never returns, so the server must not wait for it.
      yield* forceTruant(database, library, yield* newcomer.replicaId)
    })
  )

describe("a long run", () => {
  it.live(
    "all clients converge under random failures, and no acknowledged operation is lost",
    () =>
      Effect.gen(function* () {
        const random = makeRandom()
        console.log(`Verdant long run with TEST_SEED=${random.seed} TEST_OPERATIONS=${OPERATIONS}`)
        const database = yield* freshStorage
        const server = yield* start({ database })
        const library = libraryOn(server)
        const people = [
          ...(yield* Effect.forEach(["a", "b", "c"], (user) => makePerson({ library, user }))),
          ...(yield* Effect.forEach(["d", "e"], (user) => makePerson({ library, user, transport: "pull" })))
        ]
        const world: World = { random, database, library, people, ledger: makeLedger(), server, operations: 0 }
        yield* settle(world)
        const common = Object.entries(TROUBLES)
        const happened: Record<string, number> = {}
        for (let round = 1; world.operations < OPERATIONS; round++) {
          const end = Math.min(world.operations + OPERATIONS_A_ROUND, OPERATIONS)
          while (world.operations < end) {
            yield* work(world, OPERATIONS_A_STRETCH)
            // Restarts are rare, because one takes as long as all other failures together.
            const [name, trouble] = pick(random, [...common, ...common, ...common, ...Object.entries(RESTARTS)])
            happened[name] = (happened[name] ?? 0) + 1
            yield* trouble(world)
          }
          yield* settle(world)
          if (round % NEWCOMER_EVERY === 0) yield* welcome(world)
          if (round % 20 === 0) console.log(`${world.operations} operations, ${JSON.stringify(happened)}`)
        }
        yield* welcome(world)
        console.log(`${world.operations} operations, ${world.ledger.size()} kept, ${JSON.stringify(happened)}`)
        yield* world.server.stop
        const { exitCode, stdout, stderr } = yield* runCommand(database, "replay")
        assert.strictEqual(exitCode, 0, stdout + stderr)
      }),
    TIMEOUT_MILLIS
  )
})
