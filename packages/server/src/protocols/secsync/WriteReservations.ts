/**
 * The order of writes to one document after a snapshot was refused. Without reservations, writes are decided as they come.
 *
 * A client gives up its connection after five refused snapshots in a row and forgets what the snapshot held. Therefore a
 * client whose snapshot was refused gets a reservation: the other clients of the document, on every process, wait until it
 * has written. Several reservations are served in the order of their time. Racing clients write within milliseconds of
 * each other, so that users do not notice the wait.
 *
 * After a refused snapshot is saved at last, the client sends its content a second time. If that is a snapshot too, two
 * clients could refuse each other's second snapshot for ever. Therefore a reservation can be for two writes.
 * Reasons: docs/decisions/0006-several-snapshots-on-their-way.md.
 */
import { Effect, Latch, Option, Schema } from "effect"
import { withPatience } from "../../internal/timeouts.ts"
import * as Metrics from "../../metrics/Metrics.ts"

export interface WriteReservations {
  /** Adds a reservation. Ignored if the connection has one, or if there are 1,000. */
  readonly reserve: (reservation: Reservation) => void
  /** A connection has written once: counts that against its reservation, if it has one. */
  readonly wrote: (id: string) => void
  /** Ends a connection's reservation, if it has one: it has nothing more to write, or is closed. */
  readonly release: (id: string) => void
  /** Whether another connection's reservation is the first. */
  readonly mustWait: (id: string) => boolean
  /** Waits while another connection's reservation is the first. */
  readonly await: (id: string) => Effect.Effect<void>
}

const Reservation = Schema.Struct({
  /** The connection's id. */
  id: Schema.String.check(Schema.isMaxLength(64)),
  /** Milliseconds since 1970. Processes that know the same reservations keep them in the same order. */
  at: Schema.Finite,
  /** How many writes the reservation is for. */
  writes: Schema.Literals([1, 2])
})
export type Reservation = typeof Reservation.Type

/** A refused client sends its next snapshot at once. If it does not, its reservation ends after this time. */
const PATIENCE = "1 second"
const MAX_RESERVATIONS = 1000

const delays = Metrics.framesDelayed.at({ cause: "write_reservation" })

export const makeWriteReservations = (): WriteReservations => {
  let reservations: ReadonlyArray<Reservation> = []
  /** Opens when the first reservation ends; open while there is none. Each first reservation gets a new latch. */
  let ended = Latch.makeUnsafe(true)

  const change = (next: ReadonlyArray<Reservation>): void => {
    const [before, after] = [reservations[0], next[0]]
    reservations = next
    if (before?.id === after?.id) return
    ended.openUnsafe()
    ended = Latch.makeUnsafe(after === undefined)
  }

  const release = (id: string): void => {
    if (reservations.length > 0) change(reservations.filter((reservation) => reservation.id !== id))
  }

  const mustWait = (id: string): boolean => reservations[0] !== undefined && reservations[0].id !== id

  const waitFor = (id: string): Effect.Effect<void> =>
    Effect.suspend(() => {
      const first = reservations[0]
      if (first === undefined || !mustWait(id)) return Effect.void
      delays.add()
      return withPatience(ended.await, PATIENCE).pipe(
        Effect.map((hasEnded) => {
          if (Option.isNone(hasEnded)) release(first.id)
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
    mustWait,
    await: waitFor
  }
}

const decodeMessage = Schema.decodeUnknownOption(Schema.fromJsonString(Reservation))

/** Encodes a reservation for the document's rooms on other processes. */
export const reservationMessage = (reservation: Reservation): Uint8Array => Buffer.from(JSON.stringify(reservation))

/** Adds a reservation that another process sent. A malformed message is ignored. */
export const receiveReservation = (reservations: WriteReservations, message: Uint8Array): void =>
  Option.match(decodeMessage(Buffer.from(message).toString()), { onNone: () => {}, onSome: reservations.reserve })
