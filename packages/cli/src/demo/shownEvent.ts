/** An event of the log as the demo page shows it: what the server knows of a Secsync document, and no more. */
import type { PlacedEvent } from "@sealog/server/ports"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"

export interface ShownEvent {
  readonly version: number
  readonly type: string
  readonly recordedAt: number
  /** The author's public key. */
  readonly author?: string
  readonly clock?: number
  /** The length of the sealed message; undefined if the event has none, or it was deleted. */
  readonly bytes?: number
  /** The beginning of the ciphertext, in base64. */
  readonly ciphertext?: string
  readonly chain: string
}

const CIPHERTEXT_LENGTH = 120

const decodeData = Schema.decodeUnknownOption(
  Schema.Struct({ pubKey: Schema.optionalKey(Schema.String), clock: Schema.optionalKey(Schema.Finite) })
)
const decodeMessage = Schema.decodeUnknownOption(Schema.fromJsonString(Schema.Struct({ ciphertext: Schema.String })))

export const shownEvent = ({ event, payload }: PlacedEvent): ShownEvent => {
  const { chain, data, recordedAt, type, version } = event
  const { clock, pubKey } = Option.getOrElse(decodeData(data), (): { pubKey?: string; clock?: number } => ({}))
  const message = payload === null ? Option.none() : decodeMessage(Buffer.from(payload).toString())
  return {
    ...{ version, type, recordedAt, chain },
    ...(pubKey === undefined ? {} : { author: pubKey }),
    ...(clock === undefined ? {} : { clock }),
    ...(payload === null ? {} : { bytes: payload.length }),
    ...(Option.isNone(message) ? {} : { ciphertext: message.value.ciphertext.slice(0, CIPHERTEXT_LENGTH) })
  }
}
