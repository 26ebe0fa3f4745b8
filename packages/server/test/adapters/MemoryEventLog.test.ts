import { layerMemory } from "../../src/adapters/MemoryEventLog.ts"
import { eventLogSuite } from "../../src/testing/EventLogSuite.ts"

eventLogSuite("memory", layerMemory)
