/**
 * The authors of a document whose changes only their next snapshot can bring. A client that takes refused updates back may
 * take the acknowledgement of one update for that of another, and forgets the changes in that other one. It is asked for a
 * snapshot at once; if its connection ends before that, the author's next update is refused for a snapshot instead.
 * Reasons: docs/decisions/0037-snapshots-that-are-owed.md.
 */
import { Effect, Option, Schema } from "effect"
import { PublicKey } from "../../domain/Ids.ts"
import type { DocumentEvent } from "../../domain/secsync/Events.ts"

/** Authors that a room remembers. The one that was added first is forgotten first. */
const MAX_AUTHORS = 1000

interface Owed {
  /** Callbacks for when the snapshot is stored. */
  readonly waiting: Set<() => void>
  /** Tells the other processes; undefined: one of them has told this one. */
  readonly tell: (() => void) | undefined
}

export class OwedSnapshots {
  private readonly authors = new Map<PublicKey, Owed>()

  /** Adds an author, and tells the other processes if the author owed nothing before. */
  add(author: PublicKey, tell?: () => void): void {
    const { authors } = this
    if (authors.has(author)) return
    authors.set(author, { waiting: new Set(), tell })
    if (authors.size > MAX_AUTHORS) this.bring(authors.keys().next().value!)
    tell?.()
  }

  /** An update was stored. If its author owes a snapshot, a process has not heard of that, and is told again. */
  stored(event: DocumentEvent): void {
    if (event._tag === "UpdateStored") this.authors.get(event.pubKey)?.tell?.()
  }

  /** Whether an author owes a snapshot. */
  get hasAny(): boolean {
    return this.authors.size > 0
  }

  /** The author's snapshot was stored. */
  bring(author: PublicKey): void {
    const owed = this.authors.get(author)
    this.authors.delete(author)
    for (const resume of owed?.waiting ?? []) resume()
  }

  /** Waits until an author, if there is one, owes no snapshot. Returns whether the author owed one. */
  brought(author: PublicKey | undefined): Effect.Effect<boolean> {
    return Effect.callback((resume) => {
      const waiting = author && this.authors.get(author)?.waiting
      if (waiting === undefined) return resume(Effect.succeed(false))
      const end = () => resume(Effect.succeed(true))
      waiting.add(end)
      return Effect.sync(() => void waiting.delete(end))
    })
  }

  isOwedBy(author: PublicKey): boolean {
    return this.authors.has(author)
  }
}

const OwedMessage = Schema.fromJsonString(Schema.Struct({ owedBy: PublicKey }))
const decodeMessage = Schema.decodeUnknownOption(OwedMessage)

/** Tells the document's rooms on other processes who owes a snapshot. */
export const owedMessage = (owedBy: PublicKey): Uint8Array => Buffer.from(JSON.stringify({ owedBy }))

/** Adds an author that another process names. Ignores other messages. */
export const receiveOwed = (owed: OwedSnapshots, message: Uint8Array): void =>
  Option.match(decodeMessage(Buffer.from(message).toString()), {
    onNone: () => {},
    onSome: ({ owedBy }) => void owed.add(owedBy)
  })
