/** The memory and time that all clients of this process share. */
import { Effect, FiberSet } from "effect"
import { SharedBytes } from "../internal/SharedBytes.ts"
import * as Metrics from "../metrics/Metrics.ts"
import type { Grant } from "../ports/Access.ts"
import type { SocketLimits } from "./Limits.ts"
import { type MemoryBudget, makeMemoryBudget } from "./MemoryBudget.ts"
import { PROGRESS_INTERVAL, ReceiveBudget } from "./ReceiveBudget.ts"
import { SendBudget } from "./SendBudget.ts"
import { UserTurns } from "./UserTurns.ts"

export interface Budgets {
  /** For large messages, from their first bytes to their answer. */
  readonly receiveBudget: ReceiveBudget
  /** For large messages while they are handled. */
  readonly memoryBudget: MemoryBudget
  /** For frames that clients have not taken. */
  readonly sendBudget: SendBudget
  /** For frames that wait or are being handled. Above it, each client may have few waiting. */
  readonly waitingFrames: SharedBytes
  readonly userTurns: UserTurns
}

export const makeBudgets = Effect.fnUntraced(function* (limits: Pick<SocketLimits, "messageMemory" | "maxFrameBytes">) {
  const run = yield* FiberSet.makeRuntime<never>()
  const messageMemory = Math.max(limits.messageMemory, limits.maxFrameBytes)
  const receiveBudget = new ReceiveBudget(messageMemory)
  const look = Effect.sync(() => receiveBudget.lookAtProgress())
  yield* Effect.forkScoped(Effect.forever(Effect.andThen(Effect.sleep(PROGRESS_INTERVAL), look)))
  const sendBudget = new SendBudget(messageMemory)
  const waitingFrames = new SharedBytes(messageMemory / 4)
  yield* Metrics.showMemory("receive_budget", () => receiveBudget.reserved, messageMemory)
  yield* Metrics.showMemory("unsent_frames", () => sendBudget.waiting, messageMemory)
  yield* Metrics.showMemory("waiting_frames", () => waitingFrames.held, waitingFrames.maxBytes)
  return {
    receiveBudget,
    memoryBudget: makeMemoryBudget(),
    sendBudget,
    waitingFrames,
    userTurns: new UserTurns(run)
  } satisfies Budgets
})

/** The user for whom the messages of a grant count. Two libraries may give different people the same id. */
export const userOf = ({ libraryId, userId }: Pick<Grant, "libraryId" | "userId">): string => `${libraryId}\n${userId}`
