/** Who is there and what they say of themselves. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { startServer } from "../support/TestServer.ts"
import { libraryOn } from "../support/verdant/Library.ts"
import { openClients, until } from "../support/verdant/VerdantClient.ts"

describe.each(["realtime", "pull"] as const)("presence by %s", (transport) => {
  it.live("16 what each one says of itself reaches all of them", () =>
    Effect.gen(function* () {
      const library = libraryOn(yield* startServer())
      const clients = yield* openClients(["a", "b", "c"], { library, transport })
      for (const client of clients) client.store.sync.presence.update({ mood: `${client.user} is happy` })
      for (const client of clients) {
        const others = clients.filter((other) => other !== client)
        const presence = () => client.store.sync.presence.peers
        yield* until(
          `${client.user} knows of the others`,
          () => others.every(({ user }) => presence()[user]?.presence?.mood === `${user} is happy`),
          presence
        )
        assert.sameMembers(
          [...client.peers()],
          others.map(({ user }) => user)
        )
        assert.strictEqual(client.store.sync.presence.self.id, client.user)
        for (const other of others) assert.strictEqual(presence()[other.user]?.replicaId, yield* other.replicaId)
      }
    })
  )
})
