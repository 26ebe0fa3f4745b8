/** Everything that the server has of the document. */
import { useEffect, useRef } from "preact/hooks"
import { bytes, counted, time } from "../../shared/format.ts"
import { useValue, type Value } from "../../shared/Value.ts"
import { Author } from "./Author.tsx"
import type { ServerEvent } from "./serverEvents.ts"

export interface ServerViewProps {
  readonly events: Value<ReadonlyArray<ServerEvent>>
  readonly author: string
  readonly colors: Value<ReadonlyMap<string, string>>
  /** Versions at which a verification found something. */
  readonly damaged: ReadonlySet<number>
}

/** The newest that are drawn. A notebook of thousands would make the page slow. */
const SHOWN = 200

export const ServerView = ({ author, colors: known, damaged, events: all }: ServerViewProps) => {
  const events = useValue(all)
  const colors = useValue(known)
  const list = useRef<HTMLOListElement>(null)
  const last = events.at(-1)
  // The newest event is at the end, as in the log.
  useEffect(() => {
    const element = list.current
    if (element !== null) element.scrollTop = element.scrollHeight
  }, [last?.version])
  const sealed = events.reduce((total, event) => total + (event.bytes ?? 0), 0)
  return (
    <section class="panel server" aria-labelledby="server-heading">
      <header class="panel-header">
        <h2 id="server-heading">What the server sees</h2>
        <p class="muted small number">
          {counted(events.length, "event")}, {bytes(sealed)} sealed
        </p>
      </header>
      {events.length === 0 ? (
        <p class="empty muted">Nothing yet. The first change makes the document.</p>
      ) : (
        // biome-ignore lint/a11y/noNoninteractiveTabindex: a scrolled region must be reachable by keyboard
        <ol class="log" ref={list} tabIndex={0} aria-label="Events in the log, newest last">
          {events.slice(-SHOWN).map((event) => (
            <Event
              key={event.version}
              event={event}
              color={colors.get(event.author ?? "")}
              isOwn={event.author === author}
              isDamaged={damaged.has(event.version)}
            />
          ))}
        </ol>
      )}
    </section>
  )
}

const NAMES: Readonly<Record<ServerEvent["type"], string>> = {
  SnapshotStored: "snapshot",
  UpdateStored: "update",
  Evicted: "evicted",
  DocumentCreated: "created",
  Pruned: "pruned",
  Deleted: "deleted",
  AllowedAgain: "allowed again"
}

const Event = ({
  event: { author, bytes: size, chain, ciphertext, clock, recordedAt, type, version },
  color,
  isDamaged,
  isOwn
}: {
  readonly event: ServerEvent
  readonly color: string | undefined
  readonly isOwn: boolean
  readonly isDamaged: boolean
}) => (
  <li class={`event ${type} ${isDamaged ? "damaged" : ""}`}>
    <span class="version number">
      <span class="visually-hidden">Version </span>
      {version}
    </span>
    <div class="facts small">
      <strong>{NAMES[type]}</strong>
      {author !== undefined && <Author author={author} color={color} isOwn={isOwn} />}
      {clock !== undefined && <span class="muted number">clock {clock}</span>}
      {size !== undefined && <span class="muted number">{bytes(size)}</span>}
      <span class="muted number time">{time(recordedAt)}</span>
    </div>
    {author !== undefined && (
      <p class="ciphertext mono">
        {ciphertext ?? <span class="gone">deleted from the server; its hash stays in the chain</span>}
      </p>
    )}
    <p class="chain mono muted">
      chain {chain.slice(0, 22)}
      {isDamaged && <strong class="mark">does not verify in the copy</strong>}
    </p>
  </li>
)
