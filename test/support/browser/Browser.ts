/**
 * Debian's Chromium. A window fails its test if its page writes an error to the console, throws, or breaks its
 * Content-Security-Policy. `shoot` keeps screenshots in test/screenshots, for people to look at.
 */
import { readFileSync } from "node:fs"
import { mkdir } from "node:fs/promises"
import { createRequire } from "node:module"
import { join } from "node:path"
import { Effect, type Scope } from "effect"
import { type Browser as Chromium, chromium, type Page } from "playwright-core"

export type { Page } from "playwright-core"

export interface BrowserWindow {
  readonly page: Page
  /** From now on, messages of the console that match are no errors, for example while the server is down. */
  readonly allow: (message: RegExp) => void
}

export interface Browser {
  /** Opens a window that shares nothing with other windows, as one of another person does. */
  readonly open: (url: string) => Effect.Effect<BrowserWindow, never, Scope.Scope>
}

/** Far more than anything takes on an idle machine, ms. */
const TIMEOUT = 60_000

const screenshots = join(import.meta.dirname, "../../screenshots")

const sizes = { wide: { width: 1280, height: 860 }, narrow: { width: 390, height: 844 } } as const
const schemes = ["light", "dark"] as const

export const startBrowser: Effect.Effect<Browser, never, Scope.Scope> = Effect.gen(function* () {
  const chromium = yield* Effect.acquireRelease(Effect.promise(launch), (browser) =>
    Effect.promise(() => browser.close())
  )
  return { open: (url) => openWindow(chromium, url) }
})

// Tests run as root in CI, where Chromium's own sandbox does not start.
const launch = () =>
  chromium.launch({ executablePath: "/usr/bin/chromium", args: ["--no-sandbox", "--disable-dev-shm-usage"] })

const openWindow = (browser: Chromium, url: string) =>
  Effect.gen(function* () {
    const problems: Array<string> = []
    const allowed: Array<RegExp> = []
    const context = yield* Effect.acquireRelease(
      Effect.promise(() => browser.newContext({ viewport: sizes.wide, reducedMotion: "reduce" })),
      (context) =>
        Effect.promise(async () => {
          await context.close()
          if (problems.length > 0) throw new Error(`The console of ${url} has errors:\n${problems.join("\n")}`)
        })
    )
    context.setDefaultTimeout(TIMEOUT)
    const page = yield* Effect.promise(() => context.newPage())
    const note = (message: string) => {
      if (!allowed.some((pattern) => pattern.test(message))) problems.push(message)
    }
    page.on("console", (message) => {
      if (message.type() === "error" || message.type() === "warning") {
        note(`${message.text()} (${message.location().url})`)
      }
    })
    page.on("pageerror", (error) => note(String(error.stack ?? error)))
    yield* Effect.promise(() => page.goto(url))
    return { page, allow: (message: RegExp) => void allowed.push(message) } satisfies BrowserWindow
  })

/** Takes screenshots of the page's present state, in both colour schemes, wide and narrow. */
export const shoot = async (page: Page, name: string): Promise<void> => {
  await mkdir(screenshots, { recursive: true })
  for (const [size, viewport] of Object.entries(sizes)) {
    await page.setViewportSize(viewport)
    for (const colorScheme of schemes) {
      await page.emulateMedia({ colorScheme })
      await page.screenshot({ path: join(screenshots, `${name}-${size}-${colorScheme}.png`) })
    }
  }
  await page.setViewportSize(sizes.wide)
  await page.emulateMedia({ colorScheme: "light" })
}

const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8")

/** The violations of accessibility rules (axe, WCAG 2.2 AA and best practices) in both colour schemes. */
export const accessibilityProblems = async (page: Page): Promise<ReadonlyArray<string>> => {
  const found: Array<string> = []
  await page.evaluate(axe)
  for (const colorScheme of schemes) {
    await page.emulateMedia({ colorScheme })
    const violations = await page.evaluate("axe.run().then(({ violations }) => violations)")
    for (const { id, nodes } of violations as ReadonlyArray<Violation>) {
      for (const { failureSummary, html } of nodes) found.push(`${colorScheme}: ${id}: ${html}\n${failureSummary}`)
    }
  }
  await page.emulateMedia({ colorScheme: "light" })
  return found
}

interface Violation {
  readonly id: string
  readonly nodes: ReadonlyArray<{ readonly html: string; readonly failureSummary: string }>
}
