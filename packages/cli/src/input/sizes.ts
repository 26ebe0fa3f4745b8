/** Sizes given on the command line: 1000, 64MiB, 2GiB. */
import { CliFailure } from "../output/CliFailure.ts"

const BYTES: Readonly<Record<string, number>> = { "": 1, KiB: 2 ** 10, MiB: 2 ** 20, GiB: 2 ** 30 }

/** Parses a size into bytes. Fails with `SIZE_INVALID`. */
export const sizeOf = (text: string): number => {
  const [, amount, unit] = /^(\d{1,12})([KMG]iB)?$/.exec(text) ?? []
  const bytes = Number(amount) * BYTES[unit ?? ""]!
  if (Number.isSafeInteger(bytes)) return bytes
  throw new CliFailure({
    code: "SIZE_INVALID",
    message: `${text} is not a size.`,
    exitCode: 2,
    tryThis: "a whole number of bytes, KiB, MiB or GiB: 1000000, 512KiB, 64MiB, 2GiB"
  })
}
