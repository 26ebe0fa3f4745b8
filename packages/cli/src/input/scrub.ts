/** The speed at which `serve` compares the whole log with its hashes. */
import { sizeOf } from "./sizes.ts"

/** Parses bytes a second, or `off`. Fails with `SIZE_INVALID`. */
export const scrubOf = (text: string) => ({ bytesPerSecond: text === "off" ? 0 : sizeOf(text) })
