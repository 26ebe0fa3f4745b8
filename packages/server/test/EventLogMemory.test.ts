import { layerMemory } from "../src/EventLogMemory.ts"
import { eventLogSuite } from "../src/testing/EventLogSuite.ts"

eventLogSuite("memory", layerMemory)
