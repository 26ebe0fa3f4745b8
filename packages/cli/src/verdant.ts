/** What Verdant writes as numbers and timestamps, as people know it. */
import { ReplicaType } from "@sealog/server/Access"
import * as Timestamp from "@sealog/server/domain/verdant/Timestamp"

export const replicaTypeOf = (type: number): string =>
  Object.entries(ReplicaType).find(([, number]) => number === type)?.[0] ?? String(type)

/** The milliseconds since 1970 in a timestamp, by its author's clock; null when it is none. */
export const millisOf = (timestamp: string | null): number | null =>
  Timestamp.isTimestamp(timestamp) ? Timestamp.millisOf(timestamp) : null
