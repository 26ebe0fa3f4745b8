/** The route of a request, as the metrics name it. A path itself may hold ids, and clients choose it. */
import type { Route } from "../../metrics/Metrics.ts"
import { isVerdantPath, VERDANT_PATH } from "../../protocols/verdant/ConnectionUrl.ts"

export const METRICS_PATH = "/metrics"
export const CHANGES_PATH = "/changes"

export const routeOf = (url = "/"): Route => {
  if (url === "/healthz") return "health"
  if (url === METRICS_PATH) return "metrics"
  if (url.startsWith(`${VERDANT_PATH}/files/`)) return "files"
  if (url === CHANGES_PATH || url.startsWith(`${CHANGES_PATH}?`)) return "changes"
  return isVerdantPath(url) ? "poll" : "other"
}
