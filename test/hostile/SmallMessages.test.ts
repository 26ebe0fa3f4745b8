/** Attacks with many connections and small messages, by a user whose token is valid. */
import { describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { vi } from "vitest"
import { attackerOf, handled } from "./attackers.ts"
import { withstands } from "./UnderAttack.ts"

vi.setConfig({ testTimeout: 300_000 })

const CONNECTIONS = 50
const ROUNDS = 10
const PRESENCES = 20

describe("a client with a token does not hurt anyone", () => {
  it.live("with 50 connections that send 10,000 presences of 20 KB, each of which the others are to see", () =>
    withstands({
      attack: (battle) =>
        Effect.gen(function* () {
          const attackers = yield* Effect.forEach(Array.from({ length: CONNECTIONS }), () => attackerOf(battle))
          const presence = { text: "x".repeat(20_000) }
          for (let round = 0; round < ROUNDS; round++) {
            for (const { connection, replica } of attackers) {
              for (let i = 0; i < PRESENCES; i++) connection.send(replica.presence(presence))
            }
            yield* Effect.forEach(attackers, handled, { concurrency: "unbounded" })
          }
        })
    })
  )
})
