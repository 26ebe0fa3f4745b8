/** The maintenance of libraries of which one has a defect. */
import { assert, it } from "@effect/vitest"
import { Context, Effect, Layer, Option } from "effect"
import { makeTroubledLog } from "#test-support/storage/TroubledLog"
import { LibraryId } from "../../../src/domain/Ids.ts"
import { Signals } from "../../../src/ports/Signals.ts"
import { makeMaintenance } from "../../../src/protocols/verdant/Maintenance.ts"
import { LibraryRooms, libraryKey } from "../../../src/protocols/verdant/Rooms.ts"
import { Committer } from "../../../src/rooms/Committer.ts"
import { Openings } from "../../../src/rooms/Openings.ts"
import { Quotas } from "../../../src/rooms/Quotas.ts"

it.effect("goes on with the next library, and comes back to the faulty one when it is used", () =>
  Effect.gen(function* () {
    const { layer } = yield* makeTroubledLog
    const services = yield* Layer.build(
      LibraryRooms.layer().pipe(
        Layer.provide([Committer.layer, Quotas.layer(), Openings.layer()]),
        Layer.provide([layer, Signals.layerNone])
      )
    )
    const rooms = Context.get(services, LibraryRooms)
    const faulty = yield* rooms.get(libraryKey(LibraryId.make("faulty")))
    const intact = yield* rooms.get(libraryKey(LibraryId.make("intact")))
    const ticks = { faulty: 0, intact: 0 }
    faulty.local.presence.tick = () => {
      ticks.faulty += 1
      throw new Error("made to fail")
    }
    intact.local.presence.tick = () => {
      ticks.intact += 1
    }
    const logged: Array<Effect.Effect<void>> = []
    const maintenance = makeMaintenance({
      now: () => 0,
      compactAfter: 1000,
      keepFiles: 0,
      blobs: Option.none(),
      run: (effect) => void logged.push(effect)
    })
    for (const room of [faulty, intact]) maintenance.touch(room)
    maintenance.tick()
    assert.deepStrictEqual([ticks, logged.length], [{ faulty: 1, intact: 1 }, 1])
    maintenance.tick()
    assert.deepStrictEqual([ticks, logged.length], [{ faulty: 1, intact: 1 }, 1])
    maintenance.touch(faulty)
    maintenance.tick()
    assert.deepStrictEqual([ticks, logged.length], [{ faulty: 2, intact: 1 }, 2])
  })
)
