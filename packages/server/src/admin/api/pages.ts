/** Lists of the API, a page at a time. */
import { Effect, type Schema } from "effect"
import type { LoggedEvent } from "../Events.ts"

/** Entries of a page, unless a request names another number. */
export const PAGE = 100

/**
 * A page of at most `limit` entries, without those of the server's own, whose names begin with @. It reads on in place of them, so
 * that a shorter page is the last one.
 */
export const fullPage = Effect.fnUntraced(function* <A, Name extends string, E>(
  limit: number,
  read: (limit: number, after: Name | undefined) => Effect.Effect<ReadonlyArray<A>, E>,
  nameOf: (entry: A) => Name
) {
  const found: Array<A> = []
  let last: Name | undefined
  while (true) {
    const asked = limit - found.length
    const page = yield* read(asked, last)
    found.push(...page.filter((entry) => !nameOf(entry).startsWith("@")))
    if (page.length < asked || found.length === limit) return found
    last = nameOf(page.at(-1)!)
  }
})

/** An event of a list. Its data may be any JSON. */
export const asJson = (event: LoggedEvent) => ({ ...event, data: event.data as Schema.Json })
