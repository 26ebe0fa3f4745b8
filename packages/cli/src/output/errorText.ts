import { inspect } from "node:util"

/** Returns an error's message, or a text for any other value that was thrown. `String` fails for an object without a prototype. */
export const errorText = (error: unknown): string => {
  if (error instanceof Error) return error.message
  return typeof error === "string" ? error : inspect(error)
}
