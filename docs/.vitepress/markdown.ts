/** Shows the pages as GitHub shows them: its anchors, its links, and the file names of code blocks. */
import { relative } from "node:path"
import type { MarkdownOptions } from "vitepress"
import { urlOf } from "./links.ts"

/** The anchors that GitHub makes of headings. test/docs.test.ts holds the links to them. */
const slugify = (heading: string): string =>
  heading
    .toLowerCase()
    .replace(/[^\w\- ]/g, "")
    .replaceAll(" ", "-")

export const markdown: MarkdownOptions = {
  anchor: { slugify },
  theme: { light: "github-light-high-contrast", dark: "github-dark" },
  config: (md) => {
    md.core.ruler.push("links", ({ env, tokens }) => {
      const page = relative(`${import.meta.dirname}/..`, env.realPath ?? env.path)
      for (const token of tokens.flatMap(({ children }) => children ?? [])) {
        const href = token.attrGet("href")
        if (token.type === "link_open" && href !== null) token.attrSet("href", urlOf(page, href))
      }
    })
    const fence = md.renderer.rules.fence
    if (fence === undefined) throw new Error("VitePress renders no code")
    md.renderer.rules.fence = (...args) => {
      const [tokens, index] = args
      const [, file] = /\bfile=(\S+)/.exec(tokens[index]?.info ?? "") ?? []
      const code = fence(...args)
      return file === undefined ? code : `<p class="code-file"><code>${md.utils.escapeHtml(file)}</code></p>${code}`
    }
  }
}
