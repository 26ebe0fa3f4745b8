/** A program like `sync-admin serve` with short times for webhooks. */
import { serveWith } from "./serveWith.ts"

serveWith({
  webhooks: {
    lease: "7 seconds",
    timeout: "3 seconds",
    recordEvery: "900 millis",
    firstRetry: "50 millis",
    maxRetry: "500 millis"
  }
})
