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
import type { Room } from "../../rooms/RoomProtocol.ts"

type OpenLibrary = Pick<Room<LibraryState, never, never, unknown>, "key" | "state" | "hasSubscribers" | "giveWay">

/**
 * Closes the largest library each time that the heap is nearly full, until the scope closes. A library whose clients have left
 * goes first. If libraries take less than half of the heap, none is closed: something else fills it.
 */
export const closeLibrariesForMemory = (
  all: () => Iterable<OpenLibrary>,
  run: (effect: Effect.Effect<void>) => void
): Effect.Effect<void, never, Scope.Scope> =>
  onMemoryCritical((used) => {
    const libraries = Array.from(all(), (room) => ({ room, bytes: memoryOf(useOf(room.state())) }))
    if (libraries.reduce((sum, { bytes }) => sum + bytes, 0) < used / 2) return
    const left = libraries.filter(({ room }) => !room.hasSubscribers())
    const largest = (left.length > 0 ? left : libraries).reduce((a, b) => (b.bytes > a.bytes ? b : a))
    largest.room.giveWay()
    const line = Effect.logWarning(
      `Closed ${streamName(largest.room.key)}, because libraries fill the memory. Lower the quota of libraries, or give Node more by --max-old-space-size.`
    )
    run(Effect.annotateLogs(line, { megabytes: Math.round(largest.bytes / 1e6) }))
  })
