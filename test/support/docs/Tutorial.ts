/**
 * Follows a page of docs/tutorials as a reader types it: writes each file that it shows, and runs each command, in an empty folder.
 * Two things differ from the page: npm gets a package of this checkout in place of a published one, and the server a free port.
 */
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { Effect, type Scope } from "effect"
import { freshFolder, NPM_TWICE, type Running, root, run, start, writeFiles } from "../../packages/support.ts"
import { freePort } from "../network/freePort.ts"

interface Block {
  /** Its section's heading. */
  readonly section: string
  readonly file: string | undefined
  /** A terminal of its own, in which the command keeps running. */
  readonly terminal: string | undefined
  readonly text: string
}

export interface Tutorial {
  /** Types all blocks of sections, in their order. */
  readonly follow: (page: string, ...sections: ReadonlyArray<string>) => Effect.Effect<void, never, Scope.Scope>
  /** The URL that a command in a terminal of its own printed. */
  readonly urlOf: (terminal: string) => string
  /** The sections of a page that have a block, and were not followed. */
  readonly left: (page: string) => ReadonlyArray<string>
}

/** npm asks for no audit and no funding, and takes a package that it has: the same packages, sooner. */
const QUICK = "export npm_config_audit=false npm_config_fund=false npm_config_prefer_offline=true\n"

/** A command that hangs is ended, so that the test says which one it was. */
const MINUTES = ["timeout", "--kill-after=5", "240"]

/** The port that the pages name. */
const PORT = "4000"

const node = join(process.execPath, "..")

const blocksOf = (page: string): ReadonlyArray<Block> => {
  const source = readFileSync(join(root, "docs/tutorials", page), "utf8")
  return source.split(/^(?=## )/m).flatMap((part) => {
    const section = /^## (.*)/.exec(part)?.[1] ?? ""
    return Array.from(part.matchAll(/^```(\S+) ?([^\n]*)\n(.*?)^```/gms), ([, , info = "", text = ""]) => ({
      section,
      file: /file=(\S+)/.exec(info)?.[1],
      terminal: /terminal=(\S+)/.exec(info)?.[1],
      text
    }))
  })
}

export const makeTutorial = Effect.fnUntraced(function* (tarballs: ReadonlyArray<string>) {
  const port = String(yield* Effect.promise(freePort))
  const env = { SEALOG_PORT: port }
  const terminals = new Map<string, Running>()
  const urls = new Map<string, string>()
  const followed = new Set<string>()
  let cwd = freshFolder()

  const localized = (text: string): string =>
    text.replaceAll(PORT, port).replaceAll(/@sealog\/([\w-]+)/g, (_, name) => tarballOf(tarballs, name))

  const type = Effect.fnUntraced(function* ({ file, terminal, text }: Block) {
    if (file !== undefined) writeFiles(cwd, { [file]: localized(text) })
    else if (terminal === undefined) {
      const written = yield* Effect.promise(() =>
        run([...MINUTES, "sh", "-ec", `${NPM_TWICE}${QUICK}${localized(text)}pwd`], { cwd })
      )
      cwd = written.trim().split("\n").at(-1) ?? cwd
    } else {
      // Ctrl-C, if a command runs there already.
      yield* Effect.promise(async () => terminals.get(terminal)?.stop())
      const running = yield* Effect.acquireRelease(
        Effect.sync((): Running => start(["sh", "-c", `exec ${localized(text)}`], { cwd, env, node })),
        ({ stop }) => Effect.promise(stop)
      )
      const [url] = yield* Effect.promise(() => running.written(/http:\/\/localhost:\d+\//))
      terminals.set(terminal, running)
      urls.set(terminal, url)
    }
  })

  return {
    follow: Effect.fnUntraced(function* (page, ...sections) {
      for (const section of sections) {
        const blocks = blocksOf(page).filter((block) => block.section === section)
        if (blocks.length === 0) throw new Error(`${page} has no block in ${section}`)
        yield* Effect.forEach(blocks, type)
        followed.add(`${page} ${section}`)
      }
    }),
    urlOf: (terminal) => urls.get(terminal) ?? "",
    left: (page) => [
      ...new Set(blocksOf(page).flatMap(({ section }) => (followed.has(`${page} ${section}`) ? [] : [section])))
    ]
  } satisfies Tutorial as Tutorial
})

const tarballOf = (tarballs: ReadonlyArray<string>, name: string): string => {
  const found = tarballs.find((tarball) => tarball.includes(`sealog-${name}-`))
  if (found === undefined) throw new Error(`There is no package ${name}`)
  return found
}
