/**
 * The token in a request's headers: `Authorization: Bearer …`, or `Sec-WebSocket-Protocol: Bearer, …`, where a browser's
 * WebSocket puts it, which cannot have a header of its own, and where Verdant takes it from of any request. undefined:
 * there is neither header; empty: there is no token in them.
 */
export const bearerOf = (authorization: string | undefined, protocols: string | undefined): string | undefined => {
  const credentials = [protocols?.replace(",", " "), authorization].filter((text) => text !== undefined)
  if (credentials.length === 0) return undefined
  for (const text of credentials) {
    const token = /^bearer +([^ ,]+) *$/i.exec(text)?.[1]
    if (token !== undefined) return token
  }
  return ""
}
