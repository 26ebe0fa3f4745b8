/** The second tab: a list on Verdant's client, with presence and pictures. */
import { useEffect, useState } from "preact/hooks"
import { useValue } from "../../shared/Value.ts"
import { People } from "../People.tsx"
import type { Person } from "../session.ts"
import { type Item, type ListStore, openList } from "./listStore.ts"

export const List = ({ person }: { readonly person: Person }) => {
  const [store, setStore] = useState<ListStore>()
  useEffect(() => void openList(person).then(setStore), [person])
  return (
    <>
      <div class="intro">
        <h1>A list on Verdant’s client</h1>
        <p class="muted">
          Verdant keeps the list on this device and merges by itself. Its data is not encrypted: the server reads it,
          checks it, and compacts what every device has. It is in the same log as the notebook, with the same chain.
        </p>
      </div>
      {store === undefined ? <p class="muted">Opening the list …</p> : <Items store={store} />}
    </>
  )
}

const STATUS = {
  connecting: "Connecting. Changes are kept on this device.",
  online: "In sync with the server",
  offline: "Offline. Changes are kept on this device."
} as const

const Items = ({ store }: { readonly store: ListStore }) => {
  const items = useValue(store.items)
  const people = useValue(store.people)
  const connection = useValue(store.connection)
  const isOffline = connection === "offline"
  return (
    <section class="panel list" aria-labelledby="list-heading">
      <header class="panel-header">
        <h2 id="list-heading">Shared list</h2>
        <People people={people} />
      </header>
      <form
        class="new-item"
        onSubmit={(event) => {
          event.preventDefault()
          const input = event.currentTarget.elements.namedItem("text") as HTMLInputElement
          const text = input.value.trim()
          input.value = ""
          if (text !== "") void store.add(text)
        }}
      >
        <label class="visually-hidden" for="new-item">
          New item
        </label>
        <input id="new-item" name="text" type="text" placeholder="Add an item" autocomplete="off" maxLength={200} />
        <button class="button primary" type="submit">
          Add
        </button>
      </form>
      {items.length === 0 ? (
        <p class="empty muted">The list is empty. Add an item, and give it a picture.</p>
      ) : (
        <ul class="items" aria-label="Items">
          {items.map((item) => (
            <ItemRow key={item.id} item={item} store={store} />
          ))}
        </ul>
      )}
      <footer class="panel-footer">
        <p class={`status small ${connection}`} role="status">
          {STATUS[connection]}
        </p>
        <a class="button" href={location.href} target="_blank" rel="noopener">
          Open a second window
        </a>
        <button class="button" type="button" onClick={isOffline ? store.goOnline : store.goOffline}>
          {isOffline ? "Go online" : "Go offline"}
        </button>
      </footer>
    </section>
  )
}

const ItemRow = ({ item: { done, id, picture, text }, store }: { readonly item: Item; readonly store: ListStore }) => (
  <li class={done ? "item done" : "item"}>
    <label class="check">
      <input
        type="checkbox"
        checked={done}
        onChange={({ currentTarget }) => void store.setDone(id, currentTarget.checked)}
      />
      <span>{text}</span>
    </label>
    {typeof picture === "string" && <img src={picture} alt={`Added to ${text}`} />}
    <label class="button quiet">
      <input
        class="visually-hidden"
        type="file"
        accept="image/*"
        aria-label={`${picture === undefined ? "Add a picture to" : "Change the picture of"} ${text}`}
        onChange={({ currentTarget }) => {
          const [file] = currentTarget.files ?? []
          if (file !== undefined) void store.setPicture(id, file)
        }}
      />
      <span aria-hidden="true">{picture === undefined ? "Add picture" : "Change picture"}</span>
    </label>
    <button class="button quiet" type="button" aria-label={`Remove ${text}`} onClick={() => void store.remove(id)}>
      Remove
    </button>
  </li>
)
