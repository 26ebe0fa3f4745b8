import { layerMemory } from "../../src/adapters/MemoryBlobStore.ts"
import { blobStoreSuite } from "../../src/testing/BlobStoreSuite.ts"

blobStoreSuite("memory", layerMemory)
