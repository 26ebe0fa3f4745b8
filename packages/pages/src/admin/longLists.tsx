/** Lists of thousands: read page by page, filtered and ordered in the page, and shown a hundred rows at a time. */
import type { ComponentChildren } from "preact"
import { useMemo, useState } from "preact/hooks"
import { get, part } from "./api.ts"
import { number } from "./format.ts"

/** The largest page of the API. */
const PAGE = 1000
/** A longer list is read up to here, and the others are reached by name. */
const MAX_READ = 10_000
const SHOWN = 100

/** Reads a list of the API, in the order of names. */
export const readList = async <A,>(path: string, nameOf: (item: A) => string): Promise<ReadonlyArray<A>> => {
  const all: Array<A> = []
  while (all.length < MAX_READ) {
    const last = all.at(-1)
    const after = last === undefined ? "" : `&after=${part(nameOf(last))}`
    const page = await get<ReadonlyArray<A>>(`${path}?limit=${PAGE}${after}`)
    all.push(...page)
    if (page.length < PAGE) break
  }
  return all
}

/** The first rows, and a button for more. */
export const useShown = <A,>(items: ReadonlyArray<A>): readonly [ReadonlyArray<A>, ComponentChildren] => {
  const [shown, setShown] = useState(SHOWN)
  const rest = items.length - shown
  const more = rest > 0 && (
    <p class="more">
      <button type="button" class="button" onClick={() => setShown(shown + SHOWN)}>
        Show more
      </button>{" "}
      {number(rest)} more.
    </p>
  )
  return [items.slice(0, shown), more]
}

interface LongList<A> {
  readonly items: ReadonlyArray<A> | undefined
  readonly nameOf: (item: A) => string
  /** The first one is the default. */
  readonly orders: Readonly<Record<string, { readonly label: string; readonly compare: (a: A, b: A) => number }>>
  readonly hrefOfName: (name: string) => string
}

/** Returns the rows to show, the inputs that choose them, and what stands below them. `filter`: the text that was typed. */
export const useLongList = <A,>({ hrefOfName, items = [], nameOf, orders }: LongList<A>) => {
  const [filter, setFilter] = useState("")
  const [order, setOrder] = useState(Object.keys(orders)[0]!)
  const found = useMemo(() => {
    const text = filter.toLowerCase()
    return items.filter((item) => nameOf(item).toLowerCase().includes(text)).toSorted(orders[order]!.compare)
  }, [items, filter, order])
  const [rows, more] = useShown(found)
  const tools = (
    <div class="tools">
      <input
        type="search"
        placeholder="Filter by name"
        aria-label="Filter by name"
        value={filter}
        onInput={(event) => setFilter(event.currentTarget.value)}
      />
      <label class="inline">
        <span>by</span>
        <select aria-label="Order" value={order} onChange={(event) => setOrder(event.currentTarget.value)}>
          {Object.entries(orders).map(([name, { label }]) => (
            <option key={name} value={name}>
              {label}
            </option>
          ))}
        </select>
      </label>
    </div>
  )
  const below = (
    <>
      {more}
      {items.length >= MAX_READ && (
        <p class="more">
          The list ends at the first {number(MAX_READ)} names.{" "}
          {filter === "" ? (
            "Type another name to open it."
          ) : (
            <a href={hrefOfName(filter)}>
              Open <code>{filter}</code>
            </a>
          )}
        </p>
      )}
    </>
  )
  return { below, filter, rows, tools }
}
