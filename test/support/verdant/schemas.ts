/** The collections that the tests' apps have. */
import { createMigration, schema } from "@verdant-web/store"

const { collection, fields } = schema

export const item = collection({
  name: "item",
  primaryKey: "id",
  fields: {
    id: fields.string({ default: () => crypto.randomUUID() }),
    content: fields.string({ default: "" }),
    done: fields.boolean({ default: false }),
    tags: fields.array({ items: fields.string() }),
    comments: fields.array({
      items: fields.object({ properties: { author: fields.string(), text: fields.string({ default: "" }) } })
    }),
    counts: fields.map({ values: fields.number() }),
    image: fields.file({ nullable: true })
  }
})

export const category = collection({
  name: "category",
  primaryKey: "id",
  fields: {
    id: fields.string(),
    name: fields.string({ default: "" }),
    look: fields.object({ nullable: true, properties: { color: fields.string() } })
  }
})

/** An app's schema with all that came before it. */
export interface AppSchema {
  readonly schema: ReturnType<typeof schema>
  readonly oldSchemas: Array<ReturnType<typeof schema>>
  readonly migrations: Array<ReturnType<typeof createMigration>>
}

const first = schema({ version: 1, collections: { item, category } })

export const firstSchema: AppSchema = { schema: first, oldSchemas: [first], migrations: [createMigration(first)] }
