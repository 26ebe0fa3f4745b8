/** oclif does not split the variables: from there, the value is one text. */
export const listOf = (texts: ReadonlyArray<string> | string | undefined): ReadonlyArray<string> =>
  [texts ?? []].flat().flatMap((text) => text.split(",").flatMap((part) => part.trim() || []))
