/** Loaded into a server process: its time of day differs from the machine's by the milliseconds that a file says. */
import { readFileSync, writeFileSync } from "node:fs"

const file = new URL(import.meta.url).searchParams.get("file") ?? ""
const machine = Date.now
let ahead = 0

const look = () => {
  try {
    const text = readFileSync(file, "utf8")
    if (Number(text) === ahead) return
    ahead = Number(text)
    writeFileSync(`${file}-taken`, text)
  } catch {
    // The file is being written.
  }
}

Date.now = () => machine() + ahead
look()
setInterval(look, 100).unref()
