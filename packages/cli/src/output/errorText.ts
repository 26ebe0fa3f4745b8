import { inspect } from "node:util"

/**
 * Returns an error's message, or a text for any other value that was thrown, as the server's function of this name does. The
 * server's needs a part of Effect, which each command would load at its start.
 */
export const errorText = (error: unknown): string => {
  if (error instanceof Error) return error.message
  return typeof error === "string" ? error : inspect(error)
}
