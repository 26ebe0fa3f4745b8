/** The counters that every frame of one protocol adds to. */
import type { Counter } from "../../metrics/Family.ts"
import * as Metrics from "../../metrics/Metrics.ts"

export interface Traffic {
  readonly protocol: Metrics.ProtocolName
  readonly framesReceived: Counter
  readonly bytesReceived: Counter
  readonly framesSent: Counter
  readonly bytesSent: Counter
}

export const trafficOf = (protocol: Metrics.ProtocolName): Traffic => ({
  protocol,
  framesReceived: Metrics.framesReceived.at({ protocol }),
  bytesReceived: Metrics.bytesReceived.at({ protocol }),
  framesSent: Metrics.framesSent.at({ protocol }),
  bytesSent: Metrics.bytesSent.at({ protocol })
})
