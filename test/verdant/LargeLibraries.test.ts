/** A server that ends in the midst of compacting a large library: the next one goes on, and nothing is lost. */
import { assert, describe, it } from "@effect/vitest"
import { replay } from "@sealog/server/admin/Replay"
import { EventLog, type PlacedEvent, StorageUnavailable } from "@sealog/server/ports/EventLog"
import { libraryKey } from "@sealog/server/protocols/verdant/Rooms"
import { Signatures } from "@sealog/server/signatures/Signatures"
import { Effect } from "effect"
import { connectVerdant } from "#test-support/clients/RawVerdant"
import { type ServerOnDatabase, startServer } from "#test-support/servers/TestServer"
import { freshStorage } from "#test-support/storage/databases"
import { until } from "#test-support/until"
import { type Library, libraryOn } from "#test-support/verdant/Library"
import { makeLargeLibrary } from "#test-support/verdant/largeLibrary"
import { makeReplica, type Replica, set } from "#test-support/verdant/Replica"

const OBJECTS = 4000
const verdant = { cursorInterval: "100 millis", foldAfter: 1000 } as const

/** The log of a process that stores nothing any more after `slices` appends of this kind of event. */
const endingAfter =
  (type: string, slices: number) =>
  (log: EventLog["Service"]): EventLog["Service"] => {
    let left = slices
    return EventLog.of({
      ...log,
      append: (batch) => {
        if (left === 0) return Effect.fail(new StorageUnavailable({ operation: "append", cause: new Error("ended") }))
        if (batch.some(({ events }) => events.some(({ event }) => event.type === type))) left -= 1
        return log.append(batch)
      }
    })
  }

const typesOf = ({ log }: ServerOnDatabase, { id }: Library) =>
  Effect.map(log.read(libraryKey(id), { after: 0, payloads: false }), (events) => events.map(({ event }) => event.type))

const countOf = (types: ReadonlyArray<string>, type: string): number => types.filter((each) => each === type).length

const fill = Effect.fnUntraced(function* ({ log }: ServerOnDatabase, { id }: Library, replica: Replica) {
  const key = libraryKey(id)
  const { events } = makeLargeLibrary(key, replica, {
    ...{ userId: "ada", objects: OBJECTS, perEvent: 100, now: Date.now() }
  })
  const [first, ...rest] = events
  yield* log.append([{ key, expectedVersion: 0, events: [first as PlacedEvent, ...rest] }])
})

const connect = Effect.fnUntraced(function* (library: Library, replica: Replica) {
  const connection = yield* connectVerdant(library, yield* library.token({ userId: "ada" }))
  connection.send(replica.sync({ since: replica.now() }))
  yield* connection.next("sync-resp")
  return connection
})

describe("a server that ends while it compacts a large library", () => {
  for (const [name, type, count] of [
    ["between two slices", "OperationsMerged", 3],
    ["between two parts of the checkpoint", "CheckpointPart", 2]
  ] as const) {
    it.live(`${name}: the next one goes on`, () =>
      Effect.gen(function* () {
        const replica = makeReplica()
        const database = yield* freshStorage
        const id = yield* Effect.gen(function* () {
          const first = yield* startServer({ verdant, database, logAs: endingAfter(type, count) })
          const library = libraryOn(first)
          yield* fill(first, library, replica)
          yield* connect(library, replica)
          const types = typesOf(first, library)
          yield* until(
            "it has stored as much as it can",
            Effect.map(types, (types) => countOf(types, type) === count)
          )
          assert.strictEqual(countOf(yield* types, "CheckpointEnded"), 0)
          return library.id
        }).pipe(Effect.scoped)

        const second = yield* startServer({ verdant, database })
        const library = libraryOn(second, id)
        const writer = yield* connect(library, replica)
        writer.send(replica.op(replica.operation("notes/n0", set("seen", 1))))
        yield* writer.next("server-ack")
        const last = `n${OBJECTS - 1}`
        assert.deepInclude(yield* second.libraries.documentSnapshot(id, "notes", last), { id: last, done: true })
        yield* until(
          "all is merged",
          Effect.map(second.log.read(libraryKey(library.id), { after: 0, payloads: false }), (events) => {
            const merged = events.flatMap(({ event }) =>
              event.type === "OperationsMerged" ? [(event.data as { readonly operations: number }).operations] : []
            )
            return merged.reduce((sum, operations) => sum + operations, 0) >= 2 * OBJECTS
          })
        )

        const newcomer = makeReplica()
        const connection = yield* connectVerdant(library, yield* library.token({ userId: "bert" }))
        connection.send(newcomer.sync({ resyncAll: true }))
        const { baselines } = yield* connection.next("sync-resp")
        const snapshots = (baselines as ReadonlyArray<{ readonly snapshot: { readonly done: boolean } }>).map(
          ({ snapshot }) => snapshot.done
        )
        assert.deepStrictEqual(
          snapshots,
          Array.from({ length: OBJECTS }, () => true)
        )
        const { problems } = yield* replay({ libraryId: library.id }).pipe(
          Effect.provideService(EventLog, second.log),
          Effect.provide(Signatures.layerInline)
        )
        assert.deepStrictEqual(problems, [])
      })
    )
  }
})
