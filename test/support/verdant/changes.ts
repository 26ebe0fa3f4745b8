/** What random work does to a document. */
import type { Random } from "../random.ts"
import type { Entity } from "./VerdantClient.ts"

/** One change of something in an item. */
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
