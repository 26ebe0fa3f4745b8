/** A program like `sync-admin serve` that compacts as early as possible. */
import { serveWith } from "./serveWith.ts"

serveWith({ verdant: { cursorInterval: "300 millis", foldAfter: 1 } })
