/** The entry `@sealog/server/workers`: one server of several processes on one port (`serve --workers`). */
export { type Joined, joinParent } from "./joinParent.ts"
export { limitsOfWorker, shareOf, type WorkerNumber } from "./shareOf.ts"
export { WorkerFailed, WorkerPool, type WorkerPoolOptions } from "./WorkerPool.ts"
