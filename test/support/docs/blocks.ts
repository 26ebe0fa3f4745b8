/** The fenced blocks of a Markdown page, each with the section that has it. */
export interface Block {
  /** The page and the section's heading: "docs/embedding.md: Writes". */
  readonly place: string
  /** Empty for a block that shows output, or a text of another program. */
  readonly language: string
  /** The example that the block shows whole, as `file=` says. */
  readonly file: string | undefined
  readonly text: string
}

const HEADING = /^#+ (?<heading>[^\n]*)$/
const FENCED = /^ *```(?<language>\S*)(?<info>[^\n]*)\n(?<text>.*?)^ *```$/
const HEADING_OR_FENCED = new RegExp(`${HEADING.source}|${FENCED.source}`, "gms")

export const blocksOf = (page: string, source: string): ReadonlyArray<Block> => {
  let section = ""
  const blocks: Array<Block> = []
  for (const { groups = {} } of source.matchAll(HEADING_OR_FENCED)) {
    const { heading, info = "", language = "", text = "" } = groups
    if (heading === undefined) {
      blocks.push({ place: `${page}: ${section}`, language, file: /file=(examples\/\S+)/.exec(info)?.[1], text })
    } else section = heading
  }
  return blocks
}
