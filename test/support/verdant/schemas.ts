/** The schemas of the tests' apps, from version to version. */
import { createMigration, schema } from "@verdant-web/store"

const { collection, fields } = schema

const itemFields = {
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

const item = collection({ name: "item", primaryKey: "id", fields: itemFields })

const category = collection({
  name: "category",
  primaryKey: "id",
  fields: {
    id: fields.string(),
    name: fields.string({ default: "" }),
    look: fields.object({ nullable: true, properties: { color: fields.string() } })
  }
})

/** An app's schema, with all earlier versions and their migrations. */
export interface AppSchema {
  readonly schema: ReturnType<typeof schema>
  readonly oldSchemas: Array<ReturnType<typeof schema>>
  readonly migrations: Array<ReturnType<typeof createMigration>>
}

const first = schema({ version: 1, collections: { item, category } })
export const firstSchema: AppSchema = { schema: first, oldSchemas: [first], migrations: [createMigration(first)] }

/** The first schema, with initial data. */
export const filledSchema: AppSchema = {
  ...firstSchema,
  migrations: [
    createMigration(first, async ({ mutations }) => {
      await mutations["category"]!.put({ id: "inbox", name: "Inbox" })
    })
  ]
}

/** The second version: items get a rating, and their content in capitals. */
const rated = collection({
  name: "item",
  primaryKey: "id",
  fields: { ...itemFields, rating: fields.number({ default: 3 }), title: fields.string({ default: "" }) }
})

const second = schema({ version: 2, collections: { item: rated, category } })
export const secondSchema: AppSchema = {
  schema: second,
  oldSchemas: [first, second],
  migrations: [
    ...firstSchema.migrations,
    createMigration(first, second, async ({ migrate }) => {
      await migrate("item", (old: { readonly content: string }) => ({ ...old, title: old.content.toUpperCase() }))
    })
  ]
}

/** The third version: ratings become words, and categories are removed. */
const worded = collection({
  name: "item",
  primaryKey: "id",
  fields: {
    ...itemFields,
    rating: fields.string({ options: ["good", "bad", "unknown"], default: "unknown" }),
    title: fields.string({ default: "" })
  }
})

const third = schema({ version: 3, collections: { item: worded } })
export const thirdSchema: AppSchema = {
  schema: third,
  oldSchemas: [first, second, third],
  migrations: [
    ...secondSchema.migrations,
    createMigration(second, third, async ({ migrate }) => {
      await migrate("item", (old: { readonly rating: number }) => ({ ...old, rating: old.rating > 3 ? "good" : "bad" }))
    })
  ]
}

/** The second version as a work in progress. */
export const unfinishedSchema: AppSchema = {
  schema: { ...second, wip: true },
  oldSchemas: secondSchema.oldSchemas,
  migrations: secondSchema.migrations
}

/** A document that is a tree, like that of a rich-text editor. */
const node = fields.object({ properties: {} })
Object.assign(node.properties, {
  type: fields.string(),
  text: fields.string({ nullable: true }),
  attrs: fields.map({ values: fields.string() }),
  content: fields.array({ items: node, nullable: true })
})
const page = collection({ name: "page", primaryKey: "id", fields: { id: fields.string(), body: node } })
const pages = schema({ version: 1, collections: { page } })
export const pageSchema: AppSchema = { schema: pages, oldSchemas: [pages], migrations: [createMigration(pages)] }
