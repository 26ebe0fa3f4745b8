/** What a Verdant client is sent: JSON text, made once for all who are sent it. */
import { type Frame, textFrame } from "../Frame.ts"

export class Message {
  readonly text: string
  private made: Frame | undefined

  constructor(text: string) {
    this.text = text
  }

  /** As a WebSocket's frame. */
  get frame(): Frame {
    this.made ??= textFrame([this.text])
    return this.made
  }
}

export const message = (value: object): Message => new Message(JSON.stringify(value))
