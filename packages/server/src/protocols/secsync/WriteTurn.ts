/**
 * A document's writers usually just write, and the first is first. But a client whose snapshot was refused five times in
 * a row disconnects, and forgets what it wrote meanwhile until its next snapshot. So whoever was refused goes first from
 * then on, one after the other, and everybody else waits, on other processes too. (They write within milliseconds of each
 * other when this happens; nobody notices the wait.)
 */
import { Effect, Latch, Option, Schema } from "effect"
import { withPatience } from "../../withPatience.ts"

export interface WriteTurn {
  /** From now on the others wait for this one, once those who came before it had their turn. */
  readonly reserve: (id: string, at: number) => void
  /** It has written, or is gone: its turn is over. Has no effect for one who has no reservation. */
  readonly release: (id: string) => void
  /** Waits while somebody else goes first. */
  readonly await: (id: string) => Effect.Effect<void>
}

interface Reservation {
  readonly id: string
  /** Milliseconds since 1970: processes that know the same reservations keep them in the same order. */
  readonly at: number
}

/** A client answers with its next snapshot at once; one that does not is not waited for. */
const PATIENCE = "1 second"
const MAX_RESERVATIONS = 1000

export const makeWriteTurn = (): WriteTurn => {
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
    reserve: (id, at) => {
      if (reservations.length >= MAX_RESERVATIONS || reservations.some((reservation) => reservation.id === id)) return
      change([...reservations, { id, at }].sort((a, b) => a.at - b.at || (a.id < b.id ? -1 : 1)))
    },
    release,
    await: waitFor
  }
}

const Message = Schema.fromJsonString(
  Schema.Struct({ id: Schema.String.check(Schema.isMaxLength(64)), at: Schema.Finite })
)
const decodeMessage = Schema.decodeUnknownOption(Message)

/** A reservation, for the document's rooms on other processes. */
export const reservationMessage = (id: string, at: number): Uint8Array => Buffer.from(JSON.stringify({ id, at }))

export const hearReservation = (turn: WriteTurn, message: Uint8Array): void =>
  Option.match(decodeMessage(Buffer.from(message).toString()), {
    onNone: () => {},
    onSome: ({ id, at }) => turn.reserve(id, at)
  })
