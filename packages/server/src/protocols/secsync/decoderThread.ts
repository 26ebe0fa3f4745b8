/** The code of a thread that decodes large frames. */
import { answerJobs } from "../../internal/JobThreads.ts"
import { decodeLarge } from "./decodeLarge.ts"

answerJobs(decodeLarge)
