/**
 * The operations of a connected client that came too late while it was being reset. Its client puts the library that it was sent
 * in the place of those that it had made before that arrived. It keeps the others, and would take them for stored once a newer
 * one is acknowledged. So nothing is acknowledged until it syncs, and it is asked for a sync as soon as it has the library.
 */
export class LateOperations {
  private readonly ask: (since: string) => void
  /** Timestamp of the first one. */
  private first: string | undefined
  private isAsked = false

  constructor(ask: (since: string) => void) {
    this.ask = ask
  }

  /** Whether the client has to sync before anything is acknowledged. */
  get areMissing(): boolean {
    return this.first !== undefined
  }

  refused(timestamp: string): void {
    this.first ??= timestamp
  }

  /** Asks for the sync that brings them, unless it was asked for. */
  askOnce(): void {
    if (this.first === undefined || this.isAsked) return
    this.isAsked = true
    this.ask(this.first)
  }

  /** The client syncs: it sends everything again that was not acknowledged. */
  clear(): void {
    this.first = undefined
    this.isAsked = false
  }
}
