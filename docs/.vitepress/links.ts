/** The addresses of links, which the pages write as paths in the repository so that they work on GitHub too. */
import { readFileSync } from "node:fs"
import { join, normalize } from "node:path/posix"

const { homepage } = JSON.parse(readFileSync(join(import.meta.dirname, "../../packages/server/package.json"), "utf8"))
/** https://github.com/OWNER/NAME */
export const repository: string = homepage.split("/tree/")[0]

/**
 * The address on the site of a link in a page. A file outside of this folder is shown by the repository's host.
 *
 * @param page the path of the page in this folder
 */
export const urlOf = (page: string, link: string): string => {
  if (/^([a-z]+:|#|\/)/.test(link)) return link
  const [path = "", anchor] = link.split("#")
  const target = normalize(join(page, "..", path))
  const suffix = anchor === undefined ? "" : `#${anchor}`
  if (target.startsWith("../")) return `${repository}/blob/main/${target.slice(3)}${suffix}`
  return `/${target.replace(/(^|\/)README\.md$/, "$1").replace(/\.md$/, "")}${suffix}`
}
