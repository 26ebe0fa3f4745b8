/** The services of a client's socket, for tests of the code below a session. */
import { Effect } from "effect"
import { makeMemoryBudget } from "../../src/edge/MemoryBudget.ts"
import { ReceiveBudget } from "../../src/edge/ReceiveBudget.ts"
import { SendBudget } from "../../src/edge/SendBudget.ts"
import { UserTurns } from "../../src/edge/UserTurns.ts"
import type { ClientSocketServices } from "../../src/edge/ws/ClientSocket.ts"
import { trafficOf } from "../../src/edge/ws/Traffic.ts"
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
  userTurns: new UserTurns((effect) => Effect.runFork(effect)),
  log: { isOn: false, line: () => {} },
  traffic: trafficOf("secsync"),
  missing: documentNotFound,
  waitingFrames: new SharedBytes(64 * MB),
  ...options
})
