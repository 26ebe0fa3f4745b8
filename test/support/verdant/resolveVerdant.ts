/** A Vitest plugin: the newer store gets a newer `common` than npm has, and the older store keeps its own. */
import { join } from "node:path"
import type { Plugin } from "vitest/config"

const newerCommon = join(import.meta.dirname, "commonForStore.ts")

export const resolveVerdant = (): Plugin => ({
  name: "resolve-verdant",
  enforce: "pre",
  resolveId: (source, importer) =>
    source === "@verdant-web/common" && importer?.includes("store@5.5.0") ? newerCommon : undefined
})
