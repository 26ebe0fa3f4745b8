import { layerMemory } from "../src/BlobStoreMemory.ts"
import { blobStoreSuite } from "../src/testing/BlobStoreSuite.ts"

blobStoreSuite("memory", layerMemory)
