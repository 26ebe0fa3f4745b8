/** The frame log's lines of a Secsync session. Ephemeral messages are traced, because they are never stored. */
import type { DocumentRefusal } from "../../domain/secsync/Commands.ts"
import { type FrameLog, type Stage, type StageFields, since } from "../../internal/FrameLog.ts"
import type { Outcome } from "../../rooms/RoomProtocol.ts"
import type { FrameText } from "../ProtocolSession.ts"
import type { ClientMessage } from "./Wire.ts"

/** The names by which a line says whose frame it follows. */
export interface Sender {
  readonly library: string
  readonly stream: string
  readonly session: string
}

export const followReceived = (
  frames: FrameLog,
  sender: Sender,
  texts: ReadonlyArray<FrameText>,
  messages: ReadonlyArray<ClientMessage>
): void => {
  for (const [i, message] of messages.entries()) {
    follow(frames, sender, "received", message, { characters: texts[i]?.length })
  }
}

/** Malformed messages end here, and those whose signature is not that of their author. `undefined`: it was not verified. */
export const followVerified = (
  frames: FrameLog,
  sender: Sender,
  messages: ReadonlyArray<ClientMessage>,
  genuine: ReadonlyArray<boolean | undefined>,
  receivedAt: number
): void => {
  const ms = since(frames, receivedAt)
  for (const [i, message] of messages.entries()) {
    if (!("signed" in message)) followRefused(frames, sender, message, message._tag)
    else if (genuine[i] === true) follow(frames, sender, "verified", message, { ms })
    else if (genuine[i] === false) followRefused(frames, sender, message, "SignatureInvalid")
  }
}

/** `rule`: the name of the rule that refused the message. */
export const followRefused = (frames: FrameLog, sender: Sender, message: ClientMessage, rule: string): void =>
  follow(frames, sender, "refused", message, { rule })

/** Writes the acknowledgement, or the outage. A rule's refusal has its line from the room. */
export const followAnswered = (
  frames: FrameLog,
  sender: Sender,
  message: ClientMessage,
  outcome: Outcome<DocumentRefusal>,
  submittedAt: number
): void => {
  if (outcome._tag === "Unavailable") return followRefused(frames, sender, message, "StorageUnavailable")
  if (outcome._tag === "Failed") return followRefused(frames, sender, message, "Defect")
  if (outcome._tag === "Refused" && outcome.refusal._tag !== "AlreadyStored") return
  const version = outcome._tag === "Stored" ? outcome.event.version : undefined
  follow(frames, sender, "acknowledged", message, { version, ms: since(frames, submittedAt) })
}

const follow = (frames: FrameLog, sender: Sender, stage: Stage, message: ClientMessage, fields: StageFields): void => {
  const all = { ...sender, message: message._tag, ...idsOf(message), ...fields }
  if (message._tag === "Ephemeral") frames.trace(stage, all)
  else frames.stage(stage, all)
}

/** The ids by which a message can be found in the log. */
const idsOf = (message: ClientMessage): StageFields => {
  switch (message._tag) {
    case "Snapshot":
      return { snapshot: message.snapshotId }
    case "Update":
      return { snapshot: message.refSnapshotId, author: message.pubKey, clock: message.clock }
    default:
      return {}
  }
}
