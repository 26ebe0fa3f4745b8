/** A message to Verdant clients: JSON text, made once for all clients that are sent it. */
import { type Frame, type Part, textFrame, textFrameInPieces } from "../Frame.ts"

export class Message {
  readonly parts: ReadonlyArray<Part>
  private made: Frame | undefined

  /** Parts that are bytes may be shared with other messages. */
  constructor(...parts: ReadonlyArray<Part>) {
    this.parts = parts
  }

  get text(): string {
    return this.parts.map(textOf).join("")
  }

  /** Sum of the parts' lengths, in characters or bytes. */
  get length(): number {
    return this.parts.reduce((sum, part) => sum + part.length, 0)
  }

  /** The message as one WebSocket frame. */
  get frame(): Frame {
    this.made ??= textFrame(this.parts)
    return this.made
  }

  /** The same frame in pieces, without a copy of the shared parts. */
  get pieces(): ReadonlyArray<Uint8Array> {
    return this.parts.every((part) => typeof part === "string") ? [this.frame] : textFrameInPieces(this.parts)
  }
}

const textOf = (part: Part): string =>
  typeof part === "string" ? part : Buffer.from(part.buffer, part.byteOffset, part.length).toString()

export const message = (value: object): Message => new Message(JSON.stringify(value))
