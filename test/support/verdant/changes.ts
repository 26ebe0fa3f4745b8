/** Random changes to documents, for tests of convergence. */
import { Effect } from "effect"
import type { Random } from "../random.ts"
import type { Entity, VerdantClient } from "./VerdantClient.ts"

/** A collection of flat documents. After a reset, the store (5.5) may hide nested documents. */
export const FLAT = "category"

/** Creates, removes or renames one of a few flat documents. */
export const changeFlat = Effect.fnUntraced(function* (random: Random, client: VerdantClient, name: string) {
  const documents = yield* client.documents(FLAT)
  const one = documents[random.next(documents.length + 1)]
  if (one === undefined || documents.length < 5) yield* client.put({ id: name, name }, { collection: FLAT })
  else if (random.next(4) === 0) yield* client.remove(one.id, FLAT)
  // A reset may remove the document at this moment.
  else yield* Effect.ignoreCause(client.edit(one.id, (document) => document.set("name", name), FLAT))
})

/** Changes a random field of an item. */
export const changeOf = (random: Random, name: string) => (item: Entity) => {
  const [tags, comments, counts] = [item.get("tags"), item.get("comments"), item.get("counts")]
  const at = (list: { readonly length: number }) => random.next(Math.max(1, list.length))
  const changes: ReadonlyArray<() => void> = [
    () => item.set("content", name),
    () => item.set("done", random.next(2) === 0),
    () => tags.push(name),
    () => tags.add(`set ${random.next(5)}`),
    () => tags.insert(at(tags), name),
    () => tags.length > 0 && tags.set(at(tags), name),
    () => tags.length > 0 && tags.delete(at(tags)),
    () => tags.length > 1 && tags.move(at(tags), at(tags)),
    () => tags.length > 0 && tags.removeAll(tags.get(at(tags))),
    () => comments.push({ author: name, text: "" }),
    () => comments.length > 0 && comments.get(at(comments)).set("text", name),
    () => comments.length > 0 && comments.delete(at(comments)),
    () => comments.length > 1 && comments.moveItem(comments.get(at(comments)), at(comments)),
    () => counts.set(`key ${random.next(4)}`, random.next(100)),
    () => counts.keys().length > 0 && counts.delete(counts.keys()[0])
  ]
  changes[random.next(changes.length)]!()
}
