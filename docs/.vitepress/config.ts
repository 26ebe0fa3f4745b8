/** The site of the documentation: `pnpm docs:dev` shows it, and `pnpm docs:build` writes it to docs/.vitepress/dist. */
import { defineConfig } from "vitepress"
import llmstxt from "vitepress-plugin-llms"
import { repository } from "./links.ts"
import { markdown } from "./markdown.ts"
import { sidebar } from "./navigation.ts"

const description = "An event-sourced sync server for local-first apps: the documentation"

export default defineConfig({
  title: "Sealog",
  description,
  lang: "en",
  head: [["link", { rel: "icon", href: "/icon.svg", type: "image/svg+xml" }]],
  // On GitHub, a folder shows its README.
  rewrites: (page) => page.replace(/README\.md$/, "index.md"),
  cleanUrls: true,
  // A server on the reader's own machine.
  ignoreDeadLinks: "localhostLinks",
  markdown,
  srcExclude: [".vitepress/**"],
  themeConfig: {
    logo: "/icon.svg",
    nav: [
      { text: "Tutorials", link: "/tutorials/secsync" },
      { text: "How-to guides", link: "/embedding" },
      { text: "Reference", link: "/cli" },
      { text: "Explanation", link: "/architecture" },
      { text: "Types", link: "/api/index.html", target: "_self" }
    ],
    sidebar: sidebar(),
    outline: [2, 3],
    search: { provider: "local" },
    socialLinks: [{ icon: "github", link: repository }],
    externalLinkIcon: true
  },
  vite: {
    plugins: [llmstxt({ description, ignoreFiles: ["decisions/*"] })]
  }
})
