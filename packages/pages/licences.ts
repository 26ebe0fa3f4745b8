/** A plugin that writes `LICENSES.txt`: the licences of all packages whose code is in the page. */

import type { Plugin } from "vite"
import { licencesOf } from "../../scripts/licences.ts"

export const licences = (): Plugin => ({
  name: "licences",
  generateBundle(_, bundle) {
    const modules = Object.values(bundle).flatMap((file) => (file.type === "chunk" ? file.moduleIds : []))
    this.emitFile({ type: "asset", fileName: "LICENSES.txt", source: licencesOf(modules) })
  }
})
