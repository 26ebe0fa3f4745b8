/**
 * Bytes that holders of one kind hold, all of them together. Each holder may hold much, and little while all together hold
 * more than the bound: a few busy holders are not slowed down, and ten thousand of them do not fill the memory.
 */
export class SharedBytes {
  readonly maxBytes: number
  private bytes = 0

  constructor(maxBytes: number) {
    this.maxBytes = maxBytes
  }

  /** `bytes` is negative when they are given back. */
  add(bytes: number): void {
    this.bytes += bytes
  }

  /** Bytes that all hold together. */
  get held(): number {
    return this.bytes
  }

  /** Whether each holder may hold little only. */
  get isShort(): boolean {
    return this.bytes > this.maxBytes
  }
}
