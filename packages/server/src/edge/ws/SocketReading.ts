/** Stops the reading of a socket for as long as there is a reason to. */
import type { WebSocket } from "ws"
import * as Metrics from "../../metrics/Metrics.ts"

/** Too many frames wait; or there is no room for the message that is arriving. Each is one bit. */
export const FULL_QUEUE = 1
export const NO_ROOM = 2
type Reason = typeof FULL_QUEUE | typeof NO_ROOM

const delays = {
  [FULL_QUEUE]: Metrics.framesDelayed.at({ cause: "full_queue" }),
  [NO_ROOM]: Metrics.framesDelayed.at({ cause: "receive_budget" })
}

export class SocketReading {
  private readonly ws: WebSocket
  private reasons = 0

  constructor(ws: WebSocket) {
    this.ws = ws
  }

  stop(reason: Reason): void {
    if ((this.reasons & reason) === 0) delays[reason].add()
    if (this.reasons === 0) this.ws.pause()
    this.reasons |= reason
  }

  resume(reason: Reason): void {
    if ((this.reasons & reason) === 0) return
    this.reasons &= ~reason
    if (this.reasons === 0) this.ws.resume()
  }

  isStoppedFor(reason: Reason): boolean {
    return (this.reasons & reason) !== 0
  }
}
