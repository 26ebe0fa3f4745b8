/** The query of a URL, parsed at a bounded cost: a server parses it before it knows who the client is. */

/** Parameters that are read. Clients send four, and apps may add theirs to the address of a server. */
export const MAX_PARAMETERS = 64

/** Parses a query, with or without its question mark. Leaves out all parameters after the first 64. */
export const parseQuery = (query: string): URLSearchParams => {
  let end = -1
  for (let count = 0; count < MAX_PARAMETERS; count += 1) {
    end = query.indexOf("&", end + 1)
    if (end === -1) return new URLSearchParams(query)
  }
  return new URLSearchParams(query.slice(0, end))
}
