/** The URL that `--to` gives, or names: `env:NAME` keeps a password out of the list of processes. */
export const targetOf = (to: string): string =>
  to.startsWith("env:") ? (process.env[to.slice("env:".length)] ?? "") : to
