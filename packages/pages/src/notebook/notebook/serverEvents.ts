/** The events of the document as the server has them, as they arrive. */
import { makeValue, type Value } from "../../shared/Value.ts"

export interface ServerEvent {
  readonly version: number
  readonly type:
    | "SnapshotStored"
    | "UpdateStored"
    | "Evicted"
    | "DocumentCreated"
    | "Pruned"
    | "Deleted"
    | "AllowedAgain"
  readonly recordedAt: number
  readonly author?: string
  readonly clock?: number
  /** Undefined: the event has no sealed message, or not any more. */
  readonly bytes?: number
  readonly ciphertext?: string
  readonly chain: string
}

export const followEvents = (documentId: string): Value<ReadonlyArray<ServerEvent>> => {
  const events = makeValue<ReadonlyArray<ServerEvent>>([])
  let source: EventSource | undefined
  const add = ({ data }: MessageEvent<string>) => {
    const event: ServerEvent = JSON.parse(data)
    // A new stream begins with the first event.
    const before = events.get().filter(({ version }) => version < event.version)
    events.set([...(event.type === "Evicted" ? before.map(withoutMessage) : before), event])
  }
  // A browser holds few connections to one server at a time, so a hidden window gives its own back.
  const follow = () => {
    source?.close()
    source = undefined
    if (document.hidden) return
    source = new EventSource(`/demo/events?document=${encodeURIComponent(documentId)}`)
    source.onmessage = add
  }
  document.addEventListener("visibilitychange", follow)
  follow()
  return events
}

const withoutMessage = ({ bytes: _, ciphertext: __, ...event }: ServerEvent): ServerEvent => event
