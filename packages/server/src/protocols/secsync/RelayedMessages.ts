/**
 * The ephemeral messages that a document's room relayed last, on any process, by their signatures. A message that comes again
 * is a replay: no client sends the same one twice, and its receivers could not tell it from a new one.
 */

/** Messages that a room remembers. At ten messages a second from ten clients, these are ten seconds. */
const MAX_MESSAGES = 1000

export class RelayedMessages {
  private readonly signatures = new Set<string>()

  /** Remembers a message, and returns whether it is new. */
  add(signature: string): boolean {
    const { signatures } = this
    if (signatures.has(signature)) return false
    signatures.add(signature)
    if (signatures.size > MAX_MESSAGES) signatures.delete(signatures.values().next().value!)
    return true
  }
}
