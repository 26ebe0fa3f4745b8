/** The code of the thread that appends large batches. */
import { answerJobs } from "@sealog/server/storage"
import { appendLarge } from "./appendLarge.ts"

answerJobs((job: Parameters<typeof appendLarge>[0]) => ({ result: appendLarge(job), transfer: [] }))
