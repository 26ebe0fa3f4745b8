import type { Plugin } from "rolldown"

/**
 * Takes the modules of Node as plain objects. An `import` reads every property of such a module, and `node:fs` then loads its
 * streams and promises, whether the command uses them or not.
 */
export const plainBuiltins: Plugin = {
  name: "plain-builtins",
  renderChunk: (code) =>
    code.replaceAll(
      IMPORT,
      (_, whole: string | undefined, named: string | undefined, name: string) =>
        `const ${whole ?? named?.replaceAll(" as ", ": ")} = globalThis.process.getBuiltinModule("${name}");`
    )
}

/** An `import` of the whole module, or of names in it. */
const IMPORT = /^import (?:(?:\* as )?(\w+)|(\{.*\})) from "(node:.*)";$/gm
