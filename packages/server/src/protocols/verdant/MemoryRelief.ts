/**
 * Closes libraries once they fill the heap. A library grows while its clients are connected, so the refusal of further clients
 * is not enough. Some clients wait then, rather than the process ends for all.
 */
import { Effect, type Scope } from "effect"
import { streamName } from "../../domain/Stream.ts"
import { memoryOf } from "../../domain/verdant/LibraryMemory.ts"
import { useOf } from "../../domain/verdant/LibraryQuota.ts"
import type { LibraryState } from "../../domain/verdant/State.ts"
import { onMemoryCritical } from "../../internal/MemoryPressure.ts"
import type { Openings } from "../../rooms/Openings.ts"
import type { Room } from "../../rooms/RoomProtocol.ts"

type OpenLibrary = Pick<Room<LibraryState, never, never, unknown>, "key" | "state" | "hasSubscribers" | "giveWay">

/**
 * Makes room when the heap is nearly full, until the scope closes. Openings give way first, all but the oldest. If the heap stays
 * nearly full, the largest libraries are closed, as many as it takes; those whose clients have left before the others. If
 * libraries take less than a quarter of the heap, none is closed: something else fills it.
 */
export const closeLibrariesForMemory = ({
  all,
  openings,
  run
}: {
  readonly all: () => Iterable<OpenLibrary>
  readonly openings: Pick<Openings["Service"], "giveWay">
  readonly run: (effect: Effect.Effect<void>) => void
}): Effect.Effect<void, never, Scope.Scope> =>
  onMemoryCritical(({ excess, isLasting, used }) => {
    const count = openings.giveWay()
    if (count > 0) {
      const line = Effect.logWarning(
        "Documents and libraries that clients ask for wait, because the memory is nearly full"
      )
      run(Effect.annotateLogs(line, { count }))
    }
    if (!isLasting) return
    const libraries = Array.from(all(), (room) => ({ room, bytes: memoryOf(useOf(room.state())) }))
    if (libraries.reduce((sum, { bytes }) => sum + bytes, 0) < used / 4) return
    const isLeft = (library: (typeof libraries)[number]): number => (library.room.hasSubscribers() ? 0 : 1)
    let freed = 0
    for (const { bytes, room } of libraries.sort((a, b) => isLeft(b) - isLeft(a) || b.bytes - a.bytes)) {
      if (freed >= excess) return
      freed += bytes
      room.giveWay()
      const line = Effect.logWarning(
        `Closed ${streamName(room.key)}, because libraries fill the memory. Lower the quota of libraries, or give Node more by --max-old-space-size.`
      )
      run(Effect.annotateLogs(line, { megabytes: Math.round(bytes / 1e6) }))
    }
  })
