/** The checkpoints that `serve` signs while it runs. */
import * as Flags from "@oclif/core/flags"
import type { EventLog } from "@sealog/server/ports"
import type * as Layer from "effect/Layer"
import { CliFailure } from "../output/CliFailure.ts"
import { durationOf } from "./durations.ts"

export const checkpointFlags = {
  checkpoints: Flags.string({
    description:
      "folder for signed checkpoints of the log, where the database's owner cannot write; one server uses a folder",
    env: "SEALOG_CHECKPOINTS"
  }),
  "checkpoint-key-file": Flags.string({
    description: "file with the private key of the checkpoints, as `checkpoint key` wrote it",
    env: "SEALOG_CHECKPOINT_KEY_FILE"
  }),
  "checkpoint-every": Flags.string({
    description: "time between two checkpoints: 30s, 1m, 1h",
    env: "SEALOG_CHECKPOINT_EVERY",
    default: "1m"
  })
}

interface CheckpointSettings {
  readonly checkpoints?: string | undefined
  readonly "checkpoint-key-file"?: string | undefined
  readonly "checkpoint-every": string
}

/** Makes a checkpoint at each interval. A log that does not continue the last one is an error in the server's log. */
export const checkpointsOf = async (flags: CheckpointSettings): Promise<Layer.Layer<never, never, EventLog>> => {
  const { Effect, Layer } = await import("effect")
  const { checkpoints: folder, "checkpoint-every": every, "checkpoint-key-file": keyFile } = flags
  if (folder === undefined) return Layer.empty
  if (keyFile === undefined) {
    throw new CliFailure({
      code: "USAGE",
      message: "--checkpoints needs the key that signs them.",
      exitCode: 2,
      tryThis: "--checkpoint-key-file with a file that `sync-admin checkpoint key` wrote"
    })
  }
  const { makeCheckpoint } = await import("@sealog/server/admin")
  const { signerOf } = await import("./checkpointKeys.ts")
  const make = Effect.catchCause(makeCheckpoint(folder, signerOf(keyFile)), (cause) =>
    Effect.logError("No checkpoint was made", cause)
  )
  const loop = Effect.forever(Effect.andThen(make, Effect.sleep(durationOf(every))))
  return Layer.effectDiscard(Effect.forkScoped(loop))
}
