/**
 * A document's writers usually just write, and the first is first. But a client whose snapshot was refused five times in
 * a row disconnects, and forgets what it wrote meanwhile until its next snapshot. So whoever was refused goes first from
 * then on, one after the other, and everybody else waits, on other processes too. (They write within milliseconds of each
 * other when this happens; nobody notices the wait.)
 *
 * The client sends what was refused again, and keeps it among what is still to be said: once its snapshot is saved, it
 * says all of it once more. Where that is a snapshot too, two clients could refuse each other's second one for ever. So
 * who comes from one turn into the next has it for two writes.
 */
import { Effect, Latch, Option, Schema } from "effect"
import { withPatience } from "../../internal/timeouts.ts"

export interface WriteReservations {
  /** From now on the others wait for this one, once those who came before it had their turn. */
  readonly reserve: (reservation: Reservation) => void
  /** It has written one thing, which may have been all that it had the turn for. */
  readonly wrote: (id: string) => void
  /** It has nothing to write any more, or is gone. Has no effect for one who has no reservation. */
  readonly release: (id: string) => void
  /** Waits while somebody else goes first. */
  readonly await: (id: string) => Effect.Effect<void>
}

const Reservation = Schema.Struct({
  id: Schema.String.check(Schema.isMaxLength(64)),
  /** Milliseconds since 1970: processes that know the same reservations keep them in the same order. */
  at: Schema.Finite,
  /** How much it may write before the others. */
  writes: Schema.Literals([1, 2])
})
export type Reservation = typeof Reservation.Type

/** A client answers with its next snapshot at once; one that does not is not waited for. */
const PATIENCE = "1 second"
const MAX_RESERVATIONS = 1000

export const makeWriteReservations = (): WriteReservations => {
  let reservations: ReadonlyArray<Reservation> = []
  /** Closed while somebody has the turn; a new one for each turn. */
  let over = Latch.makeUnsafe(true)

  const change = (next: ReadonlyArray<Reservation>): void => {
    const [before, after] = [reservations[0], next[0]]
    reservations = next
    if (before?.id === after?.id) return
    over.openUnsafe()
    over = Latch.makeUnsafe(after === undefined)
  }

  const release = (id: string): void => {
    if (reservations.length > 0) change(reservations.filter((reservation) => reservation.id !== id))
  }

  const waitFor = (id: string): Effect.Effect<void> =>
    Effect.suspend(() => {
      const first = reservations[0]
      if (first === undefined || first.id === id) return Effect.void
      return withPatience(over.await, PATIENCE).pipe(
        Effect.map((isOver) => {
          if (Option.isNone(isOver)) release(first.id)
        }),
        Effect.andThen(waitFor(id))
      )
    })

  return {
    reserve: (reservation) => {
      if (reservations.length >= MAX_RESERVATIONS || reservations.some(({ id }) => id === reservation.id)) return
      change([...reservations, reservation].sort((a, b) => a.at - b.at || (a.id < b.id ? -1 : 1)))
    },
    wrote: (id) => {
      if (reservations.length === 0) return
      change(
        reservations.flatMap((reservation) => {
          if (reservation.id !== id) return [reservation]
          return reservation.writes === 1 ? [] : [{ ...reservation, writes: 1 as const }]
        })
      )
    },
    release,
    await: waitFor
  }
}

const decodeMessage = Schema.decodeUnknownOption(Schema.fromJsonString(Reservation))

/** A reservation, for the document's rooms on other processes. */
export const reservationMessage = (reservation: Reservation): Uint8Array => Buffer.from(JSON.stringify(reservation))

export const hearReservation = (turn: WriteReservations, message: Uint8Array): void =>
  Option.match(decodeMessage(Buffer.from(message).toString()), { onNone: () => {}, onSome: turn.reserve })
