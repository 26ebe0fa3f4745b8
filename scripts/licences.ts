/** The licences of bundled packages, as one text. */
import { globSync, readFileSync } from "node:fs"
import { dirname, join } from "node:path"

const LINE = `\n${"-".repeat(80)}\n\n`

/** `moduleIds`: the bundled files, as a bundler names them. `more`: licences of code that is in no package. */
export const licencesOf = (moduleIds: ReadonlyArray<string>, more: ReadonlyArray<string> = []): string => {
  const bundled = moduleIds.filter((id) => id.includes("node_modules/"))
  const folders = new Set(bundled.map((file) => packageOf(file.replace(/^\0/, "").replace(/\?.*/, ""))))
  const texts = [...folders].sort().map((folder) => {
    const { name, version, license } = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"))
    const [file] = globSync("{LICENSE,LICENCE,License,license}*", { cwd: folder })
    return `${name} ${version} (${license})\n\n${file === undefined ? "" : readFileSync(join(folder, file), "utf8").trim()}\n`
  })
  return [...texts, ...more].join(LINE)
}

/** The folder of a bundled file's package. */
const packageOf = (file: string): string => {
  const folder = dirname(file)
  return /node_modules\/(@[^/]+\/)?[^/]+$/.test(folder) ? folder : packageOf(folder)
}
