/**
 * A batch of signed texts in memory that two threads share. It costs a copy of its bytes and a wake-up, a quarter of a
 * message between threads. A batch that does not fit is sent as a message.
 */
import type { SignedText } from "./verifySignature.ts"

/** Enough for the updates of one turn of the event loop; a snapshot may be larger. */
const BYTES = 1024 * 1024
/** Layout: the state and the number of texts, 4 bytes each, and then the texts. */
const HEADER = 8
const [STATE, COUNT] = [0, 1] as const
/** Before each text: the lengths of text, signature and key, 4 bytes each. */
const ENTRY_HEADER = 12

export const State = {
  /** The thread has nothing to do. */
  idle: 0,
  /** The batch is in the shared memory. */
  here: 1,
  /** The batch comes as a message. */
  message: 2,
  /** The thread must end. */
  end: 3
} as const

/** Carries one batch at a time, in one direction. */
export class SharedMemoryBatch {
  readonly memory: SharedArrayBuffer
  private readonly header: Int32Array
  private readonly bytes: Buffer
  private readonly view: DataView

  constructor(memory = new SharedArrayBuffer(BYTES)) {
    this.memory = memory
    this.header = new Int32Array(memory, 0, HEADER / Int32Array.BYTES_PER_ELEMENT)
    this.bytes = Buffer.from(memory, HEADER)
    this.view = new DataView(memory, HEADER)
  }

  /** Writes a batch; returns false when it does not fit. */
  write(batch: ReadonlyArray<SignedText>): boolean {
    let offset = 0
    for (const { text, signature, pubKey } of batch) {
      // UTF-8 takes at most three bytes for each unit of UTF-16.
      const most = ENTRY_HEADER + 3 * (text.length + signature.length + pubKey.length)
      if (offset + most > this.bytes.length) return false
      let end = offset + ENTRY_HEADER
      for (const [i, part] of [text, signature, pubKey].entries()) {
        const length = this.bytes.write(part, end)
        this.view.setUint32(offset + 4 * i, length, true)
        end += length
      }
      offset = end
    }
    this.header[COUNT] = batch.length
    return true
  }

  /** Returns copies of the texts that were written, each as UTF-8 bytes. */
  read(): ReadonlyArray<{ readonly text: Buffer; readonly signature: string; readonly pubKey: string }> {
    let offset = 0
    return Array.from({ length: this.header[COUNT] ?? 0 }, () => {
      let at = offset + ENTRY_HEADER
      const [text = Buffer.alloc(0), signature = Buffer.alloc(0), pubKey = Buffer.alloc(0)] = [0, 1, 2].map((i) => {
        const from = at
        at += this.view.getUint32(offset + 4 * i, true)
        return this.bytes.subarray(from, at)
      })
      offset = at
      return { text: Buffer.from(text), signature: signature.toString(), pubKey: pubKey.toString() }
    })
  }

  /** Wakes the thread that waits for work. */
  wake(state: number): void {
    Atomics.store(this.header, STATE, state)
    Atomics.notify(this.header, STATE)
  }

  /** Blocks until there is work; returns the `State` that says which. */
  waitForWork(): number {
    while (true) {
      Atomics.wait(this.header, STATE, State.idle)
      const state = Atomics.exchange(this.header, STATE, State.idle)
      if (state !== State.idle) return state
    }
  }
}
