/** The frame log's lines of a Verdant session. Only syncs and operations are stored; every other message is traced. */
import { type FrameLog, type Stage, type StageFields, since } from "../../internal/FrameLog.ts"
import type { ClientMessage } from "./Wire.ts"

/** The names by which a line says whose frame it follows. */
export interface Sender {
  readonly library: string
  readonly stream: string
  /** Undefined until the client has named its replica. */
  readonly replica: string | undefined
  readonly session: string
}

type Named = Pick<ClientMessage, "_tag"> & { readonly replicaId?: string }

/** A malformed message is refused as it arrives. */
export const followReceived = (frames: FrameLog, sender: Sender, message: ClientMessage): void => {
  if (message._tag === "Malformed") followRefused(frames, sender, message, message.reason)
  else if (message._tag === "NotJson") followRefused(frames, sender, message, "NotJson")
  else {
    const operations = "operations" in message ? message.operations.items.length : undefined
    follow(frames, sender, "received", message, { operations })
  }
}

/** `rule`: the name of the rule that refused the message. */
export const followRefused = (frames: FrameLog, sender: Sender, message: Named, rule: string): void =>
  frames.stage("refused", { ...sender, message: message._tag, rule })

/** `receivedAt`: a time of the log's clock. */
export const followAcknowledged = (
  frames: FrameLog,
  sender: Sender,
  message: Named,
  version: number,
  receivedAt: number
): void => follow(frames, sender, "acknowledged", message, { version, ms: since(frames, receivedAt) })

const follow = (frames: FrameLog, sender: Sender, stage: Stage, message: Named, fields: StageFields): void => {
  const all = { ...sender, replica: message.replicaId ?? sender.replica, message: message._tag, ...fields }
  if (message._tag === "Sync" || message._tag === "Operations") frames.stage(stage, all)
  else frames.trace(stage, all)
}
