import type { Plugin } from "rolldown"

/** Escapes the characters outside ASCII. With one of them, V8 takes the whole file as text of two bytes a character, and for longer. */
export const asciiText: Plugin = {
  name: "ascii-text",
  generateBundle: (_, files) => {
    for (const file of Object.values(files)) {
      if (file.type !== "chunk") continue
      const [found] = UNSAFE.exec(file.code) ?? []
      if (found !== undefined) throw new Error(`${file.fileName} cannot be escaped at ${found}`)
      file.code = file.code.replaceAll(BEYOND_ASCII, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`)
    }
  }
}

const BEYOND_ASCII = /[\u0080-\uffff]/g
/** Behind a backslash, or in a template that is read as it is written, an escape is another text. */
const UNSAFE = /(?<!\\)(?:\\\\)*\\[\u0080-\uffff]|String\.raw`[^`]*[\u0080-\uffff]/
