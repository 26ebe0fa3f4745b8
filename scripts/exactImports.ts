import type { Plugin } from "rolldown"

/**
 * Lets `const { a, b } = await import("…")` load what `a` and `b` need. By itself, the bundler loads what any command takes from that
 * index.
 */
export const exactImports: Plugin = {
  name: "exact-imports",
  transform: {
    filter: { id: /packages\/cli\/dist\/.*\.js$/ },
    handler: (code) =>
      code.replaceAll(
        IMPORT,
        (_, names: string, from: string) => `const {${names}} = await import("exact:${names}:${from}")`
      )
  },
  resolveId: {
    filter: { id: /^exact:/ },
    handler: async function (source, importer) {
      const [, names, from = ""] = source.split(":")
      const index = await this.resolve(from, importer)
      return `\0exact:${names}:${index?.id}`
    }
  },
  load: {
    filter: { id: /^\0exact:/ },
    handler: (id) => {
      const [, names, index] = id.split(":")
      return `export {${names}} from "${index}"`
    }
  }
}

const IMPORT = /const \{([\w\s,]+)\} = await import\("(@sealog\/[^"]+)"\)/g
