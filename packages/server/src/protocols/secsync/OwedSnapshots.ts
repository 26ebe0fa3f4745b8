/**
 * The authors of a document whose changes only their next snapshot can bring. A client that takes refused updates back may
 * take the acknowledgement of one update for that of another, and forgets the changes in that other one. It is asked for a
 * snapshot at once; if its connection ends before that, the author's next update is refused for a snapshot instead.
 * Reasons: docs/decisions/0037-snapshots-that-are-owed.md.
 */
import { Option, Schema } from "effect"
import { PublicKey } from "../../domain/Ids.ts"

/** Authors that a room remembers. The one that was added first is forgotten first. */
const MAX_AUTHORS = 1000

export class OwedSnapshots {
  private readonly authors = new Set<PublicKey>()

  add(author: PublicKey): void {
    const { authors } = this
    authors.add(author)
    if (authors.size > MAX_AUTHORS) authors.delete(authors.values().next().value!)
  }

  /** The author's snapshot was stored. */
  bring(author: PublicKey): void {
    this.authors.delete(author)
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
    onSome: ({ owedBy }) => owed.add(owedBy)
  })
