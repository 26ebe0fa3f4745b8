/**
 * Finds sentences that hide their actor: `node scripts/check-prose.ts [paths…]` prints each one with its file and line,
 * then a count per folder, and exits with 1 if there is any outside the list of exceptions.
 *
 * It reads comments, Markdown, test names, and the texts that an operator sees (help, errors, log messages).
 * Paths are relative to the working directory; without one, the whole repository is checked.
 */
import { globSync, readFileSync, statSync } from "node:fs"
import { join } from "node:path"

/** Sentences that stay, each with the reason. A handful at most. */
const exceptions: ReadonlyArray<{ readonly file: string; readonly text: string; readonly reason: string }> = []

/** A free relative or an empty subject: the reader has to find out who acts. */
const opener =
  /^(?:what(?:ever)?|who(?:ever|se)?|whichever|nobody|somebody|no one|someone|one (?:that|who)|those (?:that|who))\b/i
const word = /\b(?:anew|meanwhile|whoever|in earnest|(?:is|are|was|were|be|been|being) told of)\b/i

/** Files whose comments begin with a hash. */
const hashFile = /(?:\.(?:ya?ml|cfg|conf|sh)|^\.ci\/run)$/
const files = ["**/*.{ts,tsx,mts,mjs,js,md,yaml,yml,cfg,conf,sh}", ".ci/run"]
const generated = ["node_modules", "dist", "generated", "driver", "results", "data", "patches", "pnpm-lock.yaml"]

/** A paragraph, list item, table cell, comment or string, with the line on which it begins. */
interface Passage {
  readonly text: string
  readonly line: number
  /** A label or heading: it may be a question. */
  readonly mayAsk?: boolean
}

interface Finding {
  readonly file: string
  readonly line: number
  readonly sentence: string
}

const main = (paths: ReadonlyArray<string>): void => {
  const checked = filesOf(paths)
  const findings = checked.flatMap((file) => findingsIn(file, readFileSync(file, "utf8")))
  const left = findings.filter((finding) => !exceptions.some((exception) => isException(exception, finding)))
  for (const { file, line, sentence } of left) console.error(`${file}:${line}: ${sentence}`)
  for (const [folder, found] of Map.groupBy(left, ({ file }) => folderOf(file))) {
    console.error(`${found.length} in ${folder}`)
  }
  if (checked.length === 0) console.error("No files to check")
  process.exitCode = left.length > 0 || checked.length === 0 ? 1 : 0
}

const filesOf = (paths: ReadonlyArray<string>): ReadonlyArray<string> =>
  (paths.length === 0 ? ["."] : paths).flatMap((path) => {
    if (statSync(path).isFile()) return [path]
    const exclude = (name: string) => name.split(/[\\/]/).some((part) => generated.includes(part))
    const found = files.flatMap((pattern) => globSync(join(path, pattern), { exclude }))
    return found.map((file) => file.replaceAll("\\", "/")).sort()
  })

const isException = ({ file, text }: { readonly file: string; readonly text: string }, finding: Finding): boolean =>
  finding.file === file && finding.sentence.startsWith(text)

const folderOf = (file: string): string => {
  const [top = "", ...rest] = file.split("/")
  if (rest.length === 0) return "."
  return top === "packages" ? `${top}/${rest[0]}` : top
}

const findingsIn = (file: string, source: string): ReadonlyArray<Finding> =>
  passagesOf(file, source).flatMap(({ line, mayAsk, text }) =>
    sentencesOf(text).flatMap(({ offset, sentence }) => {
      if (!isHidden(sentence) || (mayAsk && sentence.endsWith("?"))) return []
      return [{ file, line: line + (text.slice(0, offset).match(/\n/g)?.length ?? 0), sentence }]
    })
  )

const isHidden = (sentence: string): boolean =>
  word.test(withoutCode(sentence)) || (opener.test(sentence) && sentence.split(" ").length > 2)

const passagesOf = (file: string, source: string): ReadonlyArray<Passage> => {
  if (file.endsWith(".md")) return markdownPassages(source)
  if (hashFile.test(file)) return hashPassages(source, 1)
  return sourcePassages(source, /^packages\/[^/]+\/src\//.test(file) ? "every text" : "named texts")
}

const sentencesOf = (text: string): ReadonlyArray<{ readonly sentence: string; readonly offset: number }> => {
  const quiet = withoutCode(text)
  const starts = [
    0,
    ...Array.from(quiet.matchAll(/[.!?…][)"'”*_]*\s+(?=["'“(*[_]*[A-Z])/g), (end) => end.index + end[0].length)
  ]
  return starts.flatMap((offset, i) => {
    const sentence = text
      .slice(offset, starts[i + 1])
      .replace(/\s+/g, " ")
      .trim()
    return sentence === "" ? [] : [{ sentence: sentence.replace(/^["'“”(*[…\s]+/, ""), offset }]
  })
}

/** Blanks out inline code and the addresses of links, which are no prose. Every character keeps its place. */
const withoutCode = (text: string): string =>
  text
    .replace(/`[^`]*`/g, (code) => code.replace(/[^\n]/g, "_"))
    .replace(/\]\([^)]*\)/g, (address) => address.replace(/[^\n]/g, " "))

/** Splits lines at blank ones, list items, and table cells. */
const proseOf = (lines: ReadonlyArray<string>, firstLine: number): ReadonlyArray<Passage> => {
  const passages: Array<{ text: string; line: number; mayAsk?: boolean }> = []
  let isOpen = false
  for (const [i, line] of lines.entries()) {
    const [, heading] = /^#+\s+(.*)$/.exec(line) ?? []
    if (/^\s*\|/.test(line)) {
      passages.push(...line.split("|").map((cell) => ({ text: cell.trim(), line: firstLine + i, mayAsk: true })))
      isOpen = false
    } else if (heading !== undefined) {
      passages.push({ text: heading, line: firstLine + i, mayAsk: true })
      isOpen = false
    } else if (line.trim() === "") isOpen = false
    else {
      const [, item] = /^\s*(?:>\s*)?(?:(?:[-*+]|\d+\.)\s+|@\w+\s+)(.*)$/.exec(line) ?? []
      const last = passages.at(-1)
      if (item === undefined && isOpen && last !== undefined) last.text += `\n${line}`
      else passages.push({ text: item ?? line, line: firstLine + i })
      isOpen = true
    }
  }
  return passages
}

const markdownPassages = (source: string): ReadonlyArray<Passage> => {
  const passages: Array<Passage> = []
  let from = 0
  const lines = source.split("\n")
  const fences = lines.flatMap((line, i) => (/^\s*(```|~~~)/.test(line) ? [i] : []))
  for (let i = 0; i < fences.length; i += 2) {
    const [open = 0, close = lines.length] = fences.slice(i, i + 2)
    passages.push(...proseOf(lines.slice(from, open), from + 1))
    const code = lines.slice(open + 1, close).join("\n")
    const isSource = /^\s*(?:```|~~~)(?:ts|js|mjs|json)\b/.test(lines[open] ?? "")
    const inCode = isSource ? sourcePassages(code, "named texts") : hashPassages(code, 1)
    passages.push(...inCode.map((passage) => ({ ...passage, line: passage.line + open + 1 })))
    from = close + 1
  }
  return [...passages, ...proseOf(lines.slice(from), from + 1)]
}

const hashPassages = (source: string, firstLine: number): ReadonlyArray<Passage> =>
  commentPassages(
    source.split("\n").flatMap((row, i) => {
      const [, code = "", text] = /^(|.*\s)#(?!!)(.*)$/.exec(row) ?? []
      if (text === undefined) return []
      return [{ text, line: firstLine + i, follows: code.trim() === "" }]
    })
  )

/** The code before a text that an operator or a tester reads. */
const namesText =
  /(?:\b(?:description|summary|message|tryThis|helpText|title)\s*[:=]\s*|\bEffect\.log\w*\(\s*|(?<![.\w])(?:it|test|describe|layer)(?:\.\w+)*\(\s*|\)\(\s*)$/

/** Scans TypeScript for comments and strings: every string of several words, or only the texts named above. */
const sourcePassages = (source: string, texts: "every text" | "named texts"): ReadonlyArray<Passage> => {
  const passages: Array<Passage> = []
  const comments: Array<Comment> = []
  let at = 0
  let before = ""
  const lineAt = (index: number) => source.slice(0, index).split("\n").length
  const takeText = (start: number, text: string) => {
    const isNamed = namesText.test(before)
    const isProse = texts === "every text" && /\w\s+\w/.test(text)
    if (isNamed || isProse) passages.push(...proseOf(text.split("\n"), lineAt(start)))
    before = `${before.slice(-80)}""`
  }
  const scanTemplate = (): void => {
    const start = at++
    let text = ""
    while (at < source.length && source[at] !== "`") {
      if (source.startsWith("${", at)) {
        const outer = before
        at += 2
        scan("}")
        before = outer
        text += "_"
      } else {
        if (source[at] === "\\") at++
        text += source[at++] ?? ""
      }
    }
    at++
    takeText(start, text)
  }
  const scan = (end: string | undefined): void => {
    let depth = 0
    while (at < source.length) {
      const rest = source.slice(at, at + 2)
      const [char = ""] = rest
      if (rest === "//" || rest === "/*") {
        const close = source.indexOf(rest === "//" ? "\n" : "*/", at)
        const stop = close < 0 ? source.length : close
        const isAlone = source.slice(source.lastIndexOf("\n", at) + 1, at).trim() === ""
        comments.push({ text: source.slice(at + 2, stop), line: lineAt(at), follows: rest === "//" && isAlone })
        at = stop + (rest === "//" ? 0 : 2)
      } else if (char === "`") scanTemplate()
      else if (char === '"' || char === "'") {
        const [literal = char] =
          new RegExp(`${char}(?:\\\\[^]|[^${char}\\\\])*${char}`, "y").exec(source.slice(at)) ?? []
        takeText(at, literal.slice(1, -1).replace(/\\(.)/g, "$1"))
        at += literal.length
      } else if (char === "/" && /(?:^|[(,=:[!&|?{};+\-*%~^<>\n]|\b(?:return|case|typeof))\s*$/.test(before)) {
        const [literal = char] = /\/(?:\\.|\[(?:\\.|[^\]\\\n])*\]|[^/[\\\n])+\/\w*/y.exec(source.slice(at)) ?? []
        at += literal.length
        before = `${before.slice(-80)}re`
      } else {
        at++
        if (char === end && depth === 0) return
        if (char === "{") depth++
        if (char === "}") depth--
        before = before.slice(-80) + char
      }
    }
  }
  scan(undefined)
  return [...passages, ...commentPassages(comments)]
}

interface Comment {
  readonly text: string
  readonly line: number
  /** A line of its own, which goes on with the comment of the line before it, if there is one. */
  readonly follows: boolean
}

/** Joins line comments that follow each other, and takes the margin of asterisks away. */
const commentPassages = (comments: ReadonlyArray<Comment>): ReadonlyArray<Passage> => {
  const joined: Array<{ readonly line: number; readonly lines: Array<string> }> = []
  for (const { follows, line, text } of comments) {
    const last = joined.at(-1)
    const goesOn = follows && last !== undefined && last.line + last.lines.length === line
    if (goesOn) last.lines.push(text.replace(/^\s/, ""))
    else joined.push({ line, lines: text.split("\n").map((row) => row.replace(/^\s*\*?\s?/, "")) })
  }
  return joined.flatMap(({ line, lines }) => proseOf(lines, line))
}

main(process.argv.slice(2))
