/**
 * One server of several processes on one port (`serve --workers`).
 *
 * @module @sealog/server/workers
 */
export { type Joined, joinParent } from "./joinParent.ts"
export { limitsOfWorker, shareOf, type WorkerNumber } from "./shareOf.ts"
export { WorkerFailed, WorkerPool, type WorkerPoolOptions } from "./WorkerPool.ts"
