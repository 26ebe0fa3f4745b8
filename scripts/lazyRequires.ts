import type { Plugin } from "rolldown"

/**
 * Makes each module of oclif load another when it first uses it. They are compiled from TypeScript to CommonJS, and load all that
 * they name: the spinner and the templates, too, for a command that prints one line.
 */
export const lazyRequires: Plugin = {
  name: "lazy-requires",
  transform: {
    filter: { id: /@oclif\/core\/lib\/.*\.js$/ },
    handler: (code) => {
      const names = [...code.matchAll(REQUIRE)].map(([, name = ""]) => name)
      const used = names.reduce((text, name) => text.replaceAll(usesOf(name), `${name}.loaded`), code)
      return used.replaceAll(
        REQUIRE,
        "const $1 = { get loaded() { const value = $2; Object.defineProperty(this, 'loaded', { value }); return value } };"
      )
    }
  }
}

/** `const util_1 = require("./util");`, perhaps with the helpers of TypeScript around it. */
const REQUIRE = /^(?:const|var) (\w+) = (require\(.*\)|__import(?:Default|Star)\(require\(.*\)\));$/gm

/** The name where it is neither declared nor a property, a key, or a part of a text. */
const usesOf = (name: string) => new RegExp(`(?<![\\w.'"/-]|const |var )${name}(?![\\w'":/-])`, "g")
