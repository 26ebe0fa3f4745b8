/**
 * A workaround for the store (5.5). After a reset, the store leaves nested documents out of its index for good, although it
 * has them and syncs them. This rebuilds a device's index from its data.
 */
import { Effect } from "effect"
import type { Entity, VerdantClient } from "./VerdantClient.ts"

/** The private parts of the store that this needs. */
interface Internals {
  readonly context: {
    readonly meta: Promise<{ readonly export: () => Promise<Record<"operations" | "baselines", ReadonlyArray<Item>>> }>
    readonly documents: Promise<{
      readonly reset: () => Promise<void>
      readonly saveEntities: (entities: ReadonlyArray<Entity>) => Promise<void>
    }>
  }
  readonly _entities: { readonly hydrate: (oid: string) => Promise<Entity | null> }
}

interface Item {
  readonly oid: string
}

const storedOn = async ({ store }: VerdantClient): Promise<ReadonlyArray<string>> => {
  const { baselines, operations } = await (await (store as unknown as Internals).context.meta).export()
  return [...baselines, ...operations].map(({ oid }) => oid)
}

/** True once the client's device holds data of each of these objects. */
export const holdsOnDevice = (client: VerdantClient, oids: ReadonlyArray<string>): Effect.Effect<boolean> =>
  Effect.promise(async () => {
    const stored = new Set(await storedOn(client))
    return oids.every((oid) => stored.has(oid))
  })

/** Rebuilds the index of a client that was just opened and is offline. */
export const reindex = async (client: VerdantClient): Promise<void> => {
  const { _entities, context } = client.store as unknown as Internals
  const roots = new Set((await storedOn(client)).map((oid) => oid.split(":")[0]!))
  const entities = await Promise.all(Array.from(roots, (oid) => _entities.hydrate(oid)))
  const documents = await context.documents
  await documents.reset()
  await documents.saveEntities(entities.filter((entity) => entity !== null))
}
