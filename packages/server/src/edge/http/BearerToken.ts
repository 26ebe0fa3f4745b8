/**
 * The bearer token in a request's headers, from `Sec-WebSocket-Protocol: Bearer, …` or `Authorization: Bearer …` (RFC 6750,
 * 2.1). A browser's WebSocket cannot set other headers, so Verdant's clients use the first, also for plain requests.
 * Returns undefined when the request has neither header, and "" when neither holds a token.
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
