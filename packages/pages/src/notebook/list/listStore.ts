/** A list that the unmodified client of Verdant keeps on this device and in sync. */
import {
  ClientDescriptor,
  type ClientWithCollections,
  createMigration,
  type Entity,
  type EntityFile,
  schema
} from "@verdant-web/store"
import { makeValue, type Value } from "../../shared/Value.ts"
import { authEndpoint, type Person } from "../session.ts"

export interface Item {
  readonly id: string
  readonly text: string
  readonly done: boolean
  /** Undefined: the item has no picture. null: its bytes are not here yet. */
  readonly picture: string | null | undefined
}

export interface ListStore {
  readonly items: Value<ReadonlyArray<Item>>
  readonly people: Value<ReadonlyArray<Person>>
  readonly connection: Value<"connecting" | "online" | "offline">
  readonly add: (text: string) => Promise<void>
  readonly setDone: (id: string, done: boolean) => Promise<void>
  readonly setPicture: (id: string, picture: File) => Promise<void>
  readonly remove: (id: string) => Promise<void>
  readonly goOffline: () => void
  readonly goOnline: () => void
}

const { collection, fields } = schema

const first = schema({
  version: 1,
  collections: {
    item: collection({
      name: "item",
      primaryKey: "id",
      fields: {
        id: fields.string({ default: () => crypto.randomUUID() }),
        text: fields.string({ default: "" }),
        done: fields.boolean({ default: false }),
        addedAt: fields.number({ default: () => Date.now() }),
        picture: fields.file({ nullable: true })
      }
    })
  }
})

/**
 * The store (3.6) tries to upload the pictures of others when it comes back, and does not handle that it cannot. The pictures of
 * this device are uploaded all the same.
 */
addEventListener("unhandledrejection", (event) => {
  if (String(event.reason).includes("Cannot upload a non-local file")) event.preventDefault()
})

/** Each window is a device of its own, so that one browser can show two. */
export const openList = async (person: Person): Promise<ListStore> => {
  const client = (await new ClientDescriptor<Person>({
    schema: first,
    migrations: [createMigration(first)],
    namespace: `sealog-${person.id}`,
    sync: {
      authEndpoint: authEndpoint(person.id),
      initialPresence: person,
      defaultProfile: {},
      initialTransport: "realtime",
      automaticTransportSelection: false
    }
  }).open()) as unknown as ClientWithCollections
  const { sync } = client
  const collectionOfItems = client["item"]!

  // ------------------------------------------------------------------------------------------------------------- items

  const items = makeValue<ReadonlyArray<Item>>([])
  const followed = new WeakSet<object>()
  const query = collectionOfItems.findAll()
  const show = () => items.set(query.current.map(itemOf).toSorted((a, b) => a.addedAt - b.addedAt))
  const follow = (entities: ReadonlyArray<Entity>) => {
    for (const entity of entities) {
      const picture: EntityFile | null = entity.get("picture")
      if (picture !== null && !followed.has(picture)) {
        followed.add(picture)
        picture.subscribe("change", show)
      }
      if (followed.has(entity)) continue
      followed.add(entity)
      entity.subscribe("changeDeep", () => follow(query.current))
    }
    show()
  }
  query.subscribe("change", follow)
  follow(await query.resolved)

  // ---------------------------------------------------------------------------------------------------------- presence

  const people = makeValue<ReadonlyArray<Person>>([person])
  const showPeople = () => {
    const others = Object.values(sync.presence.peers).map(({ presence }) => presence as Person)
    people.set([person, ...others])
  }
  sync.presence.subscribe("peersChanged", showPeople)

  // -------------------------------------------------------------------------------------------------------- connection

  let isMeantOnline = true
  const connection = makeValue<"connecting" | "online" | "offline">("connecting")
  const showConnection = () => connection.set(!isMeantOnline ? "offline" : sync.isConnected ? "online" : "connecting")
  sync.subscribe("onlineChange", showConnection)
  sync.start()
  showConnection()

  const entityOf = async (id: string): Promise<Entity> => (await collectionOfItems.get(id).resolved) as Entity
  return {
    items,
    people,
    connection,
    add: async (text) => void (await collectionOfItems.put({ text })),
    setDone: async (id, done) => void (await entityOf(id)).set("done", done),
    setPicture: async (id, picture) => void (await entityOf(id)).set("picture", picture),
    remove: (id) => collectionOfItems.delete(id),
    goOffline: () => {
      isMeantOnline = false
      sync.stop()
      showConnection()
    },
    goOnline: () => {
      isMeantOnline = true
      sync.start()
      showConnection()
    }
  }
}

const itemOf = (entity: Entity) => {
  const picture: EntityFile | null = entity.get("picture")
  return {
    id: entity.get("id") as string,
    text: entity.get("text") as string,
    done: entity.get("done") as boolean,
    addedAt: entity.get("addedAt") as number,
    picture: picture === null ? undefined : picture.url
  }
}
