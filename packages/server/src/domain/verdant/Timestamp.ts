/**
 * Verdant's hybrid logical clock as text: schema version (4 characters of base 36), milliseconds since 1970 (9), a counter
 * (4), the author's node (7). Compared as text alone: a newer schema's come after every older one's, whenever they were made.
 */
const PATTERN = /^[0-9a-z]{17}[0-9A-Za-z_-]{7}$/

export const isTimestamp = (value: unknown): value is string => typeof value === "string" && PATTERN.test(value)

/** Milliseconds since 1970; 0 for what a migration of the client's made. */
export const millisOf = (timestamp: string): number => Number.parseInt(timestamp.slice(4, 13), 36)
