/** A name as one word of a command that people may copy. A client may have chosen it, so a shell must not act on it. */
export const shellWord = (name: string): string =>
  /^[\w%+,./:=@][\w%+,./:=@-]*$/.test(name) ? name : `'${name.replaceAll("'", `'\\''`)}'`
