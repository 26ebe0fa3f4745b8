/**
 * A batch of signed texts and packed updates in memory that two threads share. It costs a copy of its bytes and a wake-up, a quarter of a
 * message between threads. A batch that does not fit is sent as a message.
 */
import type { PackedUpdate } from "./verifyPacked.ts"
import type { SignedBytes } from "./verifySignature.ts"
import type { Signed } from "./verifySigned.ts"

/** Enough for the updates of one turn of the event loop; a snapshot may be larger. */
const BYTES = 1024 * 1024
/** Layout: the state and the number of texts, 4 bytes each, and then the texts. */
const HEADER = 8
const [STATE, COUNT] = [0, 1] as const
/** Before each entry: the lengths of its three parts, and its kind, 4 bytes each. */
const ENTRY_HEADER = 16
const [TEXT, PACKED] = [0, 1] as const
const HASH_LENGTH = 43

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
  write(batch: ReadonlyArray<Signed>): boolean {
    let offset = 0
    for (const signed of batch) {
      const end =
        "packed" in signed
          ? this.put(offset, PACKED, signed.packed.bytes, signed.packed.publicData, signed.payloadHash + signed.pubKey)
          : this.put(offset, TEXT, signed.text, signed.signature, signed.pubKey)
      if (end === undefined) return false
      offset = end
    }
    this.header[COUNT] = batch.length
    return true
  }

  /** Writes an entry; returns where it ends, or undefined when it does not fit. */
  private put(offset: number, kind: number, a: string | Uint8Array, b: string, c: string): number | undefined {
    // UTF-8 takes at most three bytes for each unit of UTF-16.
    const longestA = typeof a === "string" ? 3 * a.length : a.length
    if (offset + ENTRY_HEADER + longestA + 3 * (b.length + c.length) > this.bytes.length) return undefined
    const start = offset + ENTRY_HEADER
    const lengthA = typeof a === "string" ? this.bytes.write(a, start) : a.length
    if (typeof a !== "string") this.bytes.set(a, start)
    const lengthB = this.bytes.write(b, start + lengthA)
    const lengthC = this.bytes.write(c, start + lengthA + lengthB)
    this.view.setUint32(offset, lengthA, true)
    this.view.setUint32(offset + 4, lengthB, true)
    this.view.setUint32(offset + 8, lengthC, true)
    this.view.setUint32(offset + 12, kind, true)
    return start + lengthA + lengthB + lengthC
  }

  /** Returns what was written: texts as copies of their UTF-8 bytes, and packed updates as views. */
  read(): ReadonlyArray<SignedBytes | PackedUpdate> {
    let end = 0
    const next = (length: number): Buffer => {
      end += length
      return this.bytes.subarray(end - length, end)
    }
    return Array.from({ length: this.header[COUNT] ?? 0 }, () => {
      const header = end
      end += ENTRY_HEADER
      const [a, b, c] = [0, 4, 8].map((i) => next(this.view.getUint32(header + i, true))) as [Buffer, Buffer, Buffer]
      if (this.view.getUint32(header + 12, true) === TEXT)
        return { text: Buffer.from(a), signature: b.toString(), pubKey: c.toString() }
      const hashAndKey = c.toString("latin1")
      return {
        packed: { bytes: a, publicData: b.toString("latin1") },
        payloadHash: hashAndKey.slice(0, HASH_LENGTH),
        pubKey: hashAndKey.slice(HASH_LENGTH)
      }
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
