/** What a Verdant client is sent: JSON text, made once for all who are sent it. */
import { type Frame, type Part, textFrame, textFrameInPieces } from "../Frame.ts"

export class Message {
  private readonly parts: ReadonlyArray<Part>
  private made: Frame | undefined

  /** What is bytes may be in other messages as well. */
  constructor(...parts: ReadonlyArray<Part>) {
    this.parts = parts
  }

  get text(): string {
    return this.parts.map(textOf).join("")
  }

  /** Characters, or bytes of what is bytes. */
  get length(): number {
    return this.parts.reduce((sum, part) => sum + part.length, 0)
  }

  /** As a WebSocket's frame. */
  get frame(): Frame {
    this.made ??= textFrame(this.parts)
    return this.made
  }

  /** The same, without a copy of what other messages have as well. */
  get pieces(): ReadonlyArray<Uint8Array> {
    return this.parts.every((part) => typeof part === "string") ? [this.frame] : textFrameInPieces(this.parts)
  }
}

const textOf = (part: Part): string =>
  typeof part === "string" ? part : Buffer.from(part.buffer, part.byteOffset, part.length).toString()

export const message = (value: object): Message => new Message(JSON.stringify(value))
