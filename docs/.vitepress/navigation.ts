/** The sidebar: the lists of docs/README.md, which are also the navigation on GitHub. */
import { readFileSync } from "node:fs"
import { dirname, join } from "node:path"
import type { DefaultTheme } from "vitepress"
import { urlOf } from "./links.ts"

const docs = join(import.meta.dirname, "..")
const read = (page: string): string => readFileSync(join(docs, page), "utf8")

/** Headings open a group, and each list item that begins with a link is an entry of it. */
export const sidebar = (): Array<DefaultTheme.SidebarItem> => {
  const groups: Array<DefaultTheme.SidebarItem & { items: Array<DefaultTheme.SidebarItem> }> = []
  let items: Array<DefaultTheme.SidebarItem> = []
  for (const line of read("README.md").split("\n")) {
    const [, level, heading] = /^(##|###) (.*)/.exec(line) ?? []
    const [, text, page] = /^- \[(.*?)\]\((.*?)\)/.exec(line) ?? []
    if (level === "##") {
      items = []
      groups.push({ text: heading ?? "", items })
    } else if (level === "###") {
      items = []
      groups.at(-1)?.items.push({ text: heading ?? "", items })
    } else if (text !== undefined && page !== undefined) items.push(entry(text, page))
  }
  return groups
}

const entry = (text: string, page: string): DefaultTheme.SidebarItem => {
  const link = urlOf("README.md", page)
  return page.endsWith("/README.md") ? { text, link, collapsed: true, items: pagesIn(page) } : { text, link }
}

/** The pages that the index of a folder links to, by their titles. */
const pagesIn = (index: string): Array<DefaultTheme.SidebarItem> => {
  const names = Array.from(read(index).matchAll(/\]\(([\w-]+\.md)\)/g), ([, name = ""]) => name)
  return [...new Set(names)].map((name) => {
    const page = join(dirname(index), name)
    return { text: titleOf(page), link: urlOf("README.md", page) }
  })
}

const titleOf = (page: string): string => /^# (.*)/m.exec(read(page))?.[1] ?? page
