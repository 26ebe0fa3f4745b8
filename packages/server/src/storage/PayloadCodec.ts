/**
 * The form in which a storage keeps payloads. A storage stores the bytes that the codec gives it and never looks into them,
 * so it knows no protocol.
 */
import { Context } from "effect"
import type { Steps } from "../domain/Steps.ts"
import type { StreamEvent, StreamKey } from "../domain/Stream.ts"
import type { PackedMessage } from "../domain/secsync/PackedMessage.ts"
import { leavePacked, packMessage, unpackMessage, unpackMessageInSteps } from "./SealedMessageCodec.ts"

export interface PayloadCodec {
  /** Returns the bytes to store for a payload of `event`. `packed`: see `PlacedEvent.packed`; it saves time, and no more. */
  readonly pack: (key: StreamKey, event: StreamEvent, payload: Uint8Array, packed?: PackedMessage) => Uint8Array
  /**
   * Returns the payload that `pack` was given, byte for byte. Must not throw: of damaged bytes it makes a payload whose hash
   * is not the event's.
   */
  readonly unpack: (key: StreamKey, event: StreamEvent, stored: Uint8Array) => Uint8Array
  /**
   * An update's stored bytes as they are, if they have the form of a packed message and its public data is what the event says: a
   * reader may need no payload. undefined: they have to be unpacked. Default: all have to be. A codec with another `pack` leaves this
   * method out.
   */
  readonly leavePacked?: (key: StreamKey, event: StreamEvent, stored: Uint8Array) => PackedMessage | undefined
  /** `unpack` in steps of a few milliseconds, for large payloads. Default: `unpack` at once. */
  readonly unpackInSteps?: (key: StreamKey, event: StreamEvent, stored: Uint8Array) => Steps<Uint8Array>
}

/**
 * Every storage asks for this codec when it opens. The default packs Secsync's messages and stores other payloads as they
 * are. To replace it, provide another codec to the storage's layer; it must read what the database already holds.
 */
export const PayloadCodec = Context.Reference<PayloadCodec>("@sealog/server/PayloadCodec", {
  defaultValue: () => ({ pack: packMessage, unpack: unpackMessage, unpackInSteps: unpackMessageInSteps, leavePacked })
})
