/** The services of a client's socket, for tests of the code below a session. */
import { Effect } from "effect"
import { makeMemoryBudget } from "../../src/edge/MemoryBudget.ts"
import { ReceiveBudget } from "../../src/edge/ReceiveBudget.ts"
import { SendBudget } from "../../src/edge/SendBudget.ts"
import { SlowLanes } from "../../src/edge/SlowLanes.ts"
import type { ClientSocketServices } from "../../src/edge/ws/ClientSocket.ts"
import { SharedBytes } from "../../src/internal/SharedBytes.ts"
import { documentNotFound } from "../../src/protocols/secsync/Wire.ts"

const MB = 1024 * 1024

export const makeServices = (options: Partial<ClientSocketServices> = {}): ClientSocketServices => ({
  run: (effect) => Effect.runFork(effect),
  maxBufferedBytes: MB,
  maxFrameBytes: 100 * MB,
  memoryBudget: makeMemoryBudget(),
  receiveBudget: new ReceiveBudget(256 * MB),
  sendBudget: new SendBudget(256 * MB),
  slowLanes: new SlowLanes((effect) => Effect.runFork(effect)),
  missing: documentNotFound,
  waitingFrames: new SharedBytes(64 * MB),
  ...options
})
