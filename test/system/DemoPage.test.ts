/** The page of `serve --dev`, as people use it: in windows of a real browser, on a real server. */
import { globSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { gzipSync } from "node:zlib"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { accessibilityProblems, type Browser, type Page, shoot, startBrowser } from "../support/browser/Browser.ts"
import { startDevServer } from "../support/browser/DevServer.ts"

/** The messages of the browser itself while a server is down. */
const SERVER_DOWN =
  /WebSocket connection to .* failed|ERR_CONNECTION_REFUSED|ERR_INCOMPLETE_CHUNKED_ENCODING|ERR_CONNECTION_RESET/
/** Verdant's store asks for a picture that is not uploaded yet, and asks again. */
const NOT_UPLOADED_YET = /status of 404 .*\/verdant\/files\//
/** More than the budget of the whole page would be noticed on a phone. */
const MAX_GZIPPED_BYTES = 400_000

const editorOf = (page: Page) => page.getByRole("textbox", { name: "Shared notebook" })
const logOf = (page: Page) => page.getByRole("list", { name: "Events in the log, newest last" })
const isConnected = (page: Page) => page.getByText("Connected", { exact: true }).waitFor()
const isStored = (page: Page) => page.getByText("Stored by the server").waitFor()
const press = (page: Page, name: string) => page.getByRole("button", { name }).click()
const heading = (page: Page, name: string | RegExp) => page.getByRole("heading", { level: 3, name }).waitFor()

/** The text of the editor, without the names at the cursors of others. */
const textIn = (page: Page): Promise<string> =>
  editorOf(page).evaluate((editor) => {
    const copy = editor.cloneNode(true) as HTMLElement
    for (const cursor of copy.querySelectorAll(".cm-ySelectionCaret, .cm-placeholder")) cursor.remove()
    return Array.from(copy.querySelectorAll(".cm-line"), (line) => line.textContent).join("\n")
  })

const untilText = async (page: Page, isRight: (text: string) => boolean): Promise<string> => {
  for (let tries = 0; tries < 600; tries++) {
    const text = await textIn(page)
    if (isRight(text)) return text
    await page.waitForTimeout(100)
  }
  throw new Error(`The editor never had the text that was waited for, but: ${await textIn(page)}`)
}

/** Waits until a window shows so many people, itself included. */
const areHere = async (page: Page, count: number, tab = "Notebook") => {
  const people = page.getByRole("tabpanel", { name: tab }).getByLabel("Here now").getByRole("listitem")
  await people.nth(count - 1).waitFor()
  await people.nth(count).waitFor({ state: "detached" })
}

/**
 * Loads a window again, without the timer of Yjs that repeats its presence after 15 seconds, and forgets that of others after 30.
 * The repetition would hide that a message is missing.
 */
const withoutRenewals = async (page: Page) => {
  await page.addInitScript(() => {
    const set = window.setInterval.bind(window)
    window.setInterval = ((run: () => void, millis: number) => (millis === 3000 ? 0 : set(run, millis))) as never
  })
  await page.reload()
  await page.getByText(/^Connected$|^Stored by the server$/).waitFor()
}

/** Opens a new notebook in as many windows, each of another person. */
const openNotebook = Effect.fnUntraced(function* (browser: Browser, url: string, count: number) {
  const first = yield* browser.open(url)
  yield* Effect.promise(() => isConnected(first.page))
  const others = yield* Effect.forEach(Array.from({ length: count - 1 }), () => browser.open(first.page.url()))
  for (const { page } of others) yield* Effect.promise(() => isConnected(page))
  return [first, ...others] as const
})

describe("the page of a server in dev mode", () => {
  it.live("two windows that write at once come to the same text, which the server never has", () =>
    Effect.gen(function* () {
      const { url } = yield* startDevServer()
      const browser = yield* startBrowser
      const [ada, grace] = yield* openNotebook(browser, url, 2)
      const [one, two] = [ada.page, grace!.page]
      yield* Effect.promise(async () => {
        const sent: Array<string> = []
        one.on("request", (request) => sent.push(request.url(), request.postData() ?? ""))
        one.on("websocket", (socket) => socket.on("framesent", ({ payload }) => sent.push(String(payload))))
        await one.reload()
        await isConnected(one)
        await shoot(one, "notebook-empty")

        await Promise.all([
          editorOf(one).pressSequentially("The ferry leaves at nine. ", { delay: 5 }),
          editorOf(two).pressSequentially("Bring the blue folder. ", { delay: 5 })
        ])
        const isWhole = (text: string) => text.length === 49
        const text = await untilText(one, isWhole)
        assert.strictEqual(await untilText(two, isWhole), text)
        assert.sameMembers([...text], [..."The ferry leaves at nine. Bring the blue folder. "])

        // Each sees the other's cursor, with the other's name.
        const nameOf = async (page: Page) =>
          (await page.getByLabel("Here now").textContent())?.match(/^\w+(?= )/)?.[0] ?? ""
        await one.locator(".cm-ySelectionInfo", { hasText: await nameOf(two) }).waitFor({ state: "attached" })
        await two.locator(".cm-ySelectionInfo", { hasText: await nameOf(one) }).waitFor({ state: "attached" })

        // A person has one colour: in the list of people, and beside the events of the person's key. Two may have the same one.
        const colorsIn = (page: Page, role: "Here now" | "Events in the log, newest last") =>
          page
            .getByLabel(role)
            .locator(".swatch > *")
            .evaluateAll((swatches) => [...new Set(swatches.map((swatch) => swatch.getAttribute("fill")))])
        for (const page of [one, two]) {
          const people = await colorsIn(page, "Here now")
          assert.isNotEmpty(people)
          assert.sameMembers(await colorsIn(page, "Events in the log, newest last"), people)
        }

        const [, key = ""] = new URL(one.url()).hash.slice(1).split(".")
        assert.lengthOf(key, 43)
        const all = sent.join("\n")
        assert.include(all, "ciphertext")
        for (const secret of [key, "ferry", "folder"]) assert.notInclude(all, secret)
        const log = (await logOf(one).textContent()) ?? ""
        for (const seen of ["snapshot", "update", "clock", "chain"]) assert.include(log, seen)
        assert.deepStrictEqual(await accessibilityProblems(one), [])
        await shoot(one, "notebook")
      })
    })
  )

  it.live("a window that goes offline merges when it comes back", () =>
    Effect.gen(function* () {
      const { url } = yield* startDevServer()
      const [ada, grace] = yield* openNotebook(yield* startBrowser, url, 2)
      const [one, two] = [ada.page, grace!.page]
      yield* Effect.promise(async () => {
        for (const page of [one, two]) await withoutRenewals(page)
        await editorOf(one).pressSequentially("Shopping: ")
        await untilText(two, (text) => text === "Shopping: ")
        for (const page of [one, two]) await areHere(page, 2)
        await press(one, "Go offline")
        await areHere(two, 1)
        await editorOf(one).press("Control+End")
        await editorOf(one).pressSequentially("apples")
        await one.getByText(/Offline, \d+ changes? waiting here/).waitFor()
        await shoot(one, "notebook-offline")
        await editorOf(two).press("Control+Home")
        await editorOf(two).pressSequentially("For Sunday. ")
        assert.strictEqual(await textIn(one), "Shopping: apples")
        await press(one, "Go online")
        const merged = (text: string) => text === "For Sunday. Shopping: apples"
        await untilText(one, merged)
        await untilText(two, merged)
        await isStored(one)
        await isStored(two)
        // Also the one who did nothing since.
        for (const page of [one, two]) await areHere(page, 2)
        // A window that shows another page has gone.
        await two.goto("about:blank")
        await areHere(one, 1)
      })
    })
  )

  it.live("an evicted notebook comes back, verification passes, and finds what was changed in a copy", () =>
    Effect.gen(function* () {
      const { url } = yield* startDevServer()
      const [{ page }] = yield* openNotebook(yield* startBrowser, url, 1)
      yield* Effect.promise(async () => {
        await press(page, "Tamper with a copy")
        await page.getByText("The log holds no sealed message of this notebook to change.").waitFor()
        await editorOf(page).pressSequentially("The plan, in short")
        await isStored(page)
        await press(page, "Evict the notebook")
        await heading(page, "Evicted, and back")
        await logOf(page).getByText("deleted from the server").first().waitFor()
        await shoot(page, "notebook-evicted")
        await press(page, "Verify the log")
        await heading(page, "The log is as it was written")
        await shoot(page, "notebook-verified")
        await press(page, "Tamper with a copy")
        await heading(page, "Verification found 2 problems in the copy")
        await page.getByText(/Version 1, chain-broken/).waitFor()
        await page.getByText(/payload-changed/).waitFor()
        assert.deepStrictEqual(await accessibilityProblems(page), [])
        await shoot(page, "notebook-tampered")
        // The log itself is untouched, and a newcomer finds the text.
        await press(page, "Verify the log")
        await heading(page, "The log is as it was written")
        await page.reload()
        await untilText(page, (text) => text === "The plan, in short")
      })
    })
  )

  it.live("says that an empty notebook has nothing to verify, and that an address has the wrong key or none", () =>
    Effect.gen(function* () {
      const { url } = yield* startDevServer()
      const browser = yield* startBrowser
      const [{ page }] = yield* openNotebook(browser, url, 1)
      yield* Effect.promise(async () => {
        await press(page, "Verify the log")
        await heading(page, "Nothing to verify")
        await editorOf(page).pressSequentially("A text")
        await isStored(page)
      })
      const other = yield* browser.open(page.url().replace(/[\w-]{43}$/, "A".repeat(43)))
      yield* Effect.promise(() => other.page.getByText("The key in this address does not open the notebook.").waitFor())
      for (const wrong of [page.url().slice(0, -1), page.url().replace(/.$/, "_")]) {
        const cut = yield* browser.open(wrong)
        yield* Effect.promise(() => cut.page.getByText(/names no notebook, so this is a new one/).waitFor())
      }
    })
  )

  it.live("nothing is lost while the server restarts", () =>
    Effect.gen(function* () {
      const { output, url } = yield* startDevServer()
      const [ada, grace] = yield* openNotebook(yield* startBrowser, url, 2)
      const [one, two] = [ada.page, grace!.page]
      yield* Effect.promise(async () => {
        for (const window of [ada, grace!]) window.allow(SERVER_DOWN)
        await editorOf(one).pressSequentially("before, ")
        await untilText(two, (text) => text === "before, ")
        await press(one, "Restart the server")
        await heading(one, "The server is down")
        await editorOf(one).press("Control+End")
        await editorOf(one).pressSequentially("while it is down")
        await shoot(one, "notebook-restarting")
        await heading(one, "The server is back")
        await untilText(two, (text) => text === "before, while it is down")
        await press(one, "Verify the log")
        await heading(one, "The log is as it was written")
      })
      assert.strictEqual(output().match(/server started/g)?.length, 2)
      assert.strictEqual(output().match(/Sealog is running/g)?.length, 1)
    })
  )

  it.live("a list shows the people, pictures and changes of both windows", () =>
    Effect.gen(function* () {
      const { url } = yield* startDevServer()
      const browser = yield* startBrowser
      const [ada, grace] = [yield* browser.open(url), yield* browser.open(url)]
      const [one, two] = [ada.page, grace.page]
      yield* Effect.promise(async () => {
        for (const window of [ada, grace]) window.allow(NOT_UPLOADED_YET)
        for (const page of [one, two]) {
          // The tabs by keyboard, as their pattern has it.
          await page.getByRole("tab", { name: "Notebook" }).focus()
          await page.keyboard.press("ArrowRight")
          await page.getByText("In sync with the server").waitFor()
        }
        const add = async (page: Page, text: string) => {
          await page.getByLabel("New item").fill(text)
          await page.keyboard.press("Enter")
        }
        const listed = (page: Page) => page.getByRole("list", { name: "Items" })
        await areHere(one, 2, "List")
        for (const item of ["Oat milk", "Sourdough", "Lemons"]) await add(one, item)
        await listed(two).getByText("Lemons").waitFor()
        await two.getByLabel("Sourdough", { exact: true }).check()
        await one.getByRole("checkbox", { name: "Sourdough", checked: true }).waitFor()

        const picture = { name: "milk.png", mimeType: "image/png", buffer: await one.screenshot() }
        await one.getByLabel("Add a picture to Oat milk").setInputFiles(picture)
        const shown = two.getByAltText("Added to Oat milk")
        await shown.waitFor()
        await shown.evaluate((image: HTMLImageElement) => image.decode())
        assert.isTrue(await shown.evaluate((image: HTMLImageElement) => image.src.startsWith(location.origin)))

        const offline = two.getByRole("tabpanel", { name: "List" })
        await offline.getByRole("button", { name: "Go offline" }).click()
        await offline.getByText("Offline. Changes are kept on this device.").waitFor()
        await add(two, "Coffee beans")
        await add(one, "Basil")
        assert.deepStrictEqual(await accessibilityProblems(two), [])
        await shoot(two, "list-offline")
        await offline.getByRole("button", { name: "Go online" }).click()
        await listed(two).getByText("Basil").waitFor()
        await listed(one).getByText("Coffee beans").waitFor()
        // A second window, and a page that is loaded again, show the list.
        const link = one.getByRole("tabpanel", { name: "List" }).getByRole("link", { name: "Open a second window" })
        const [third] = await Promise.all([one.context().waitForEvent("page"), link.click()])
        await listed(third).getByText("Basil").waitFor()
        await third.getByRole("tab", { name: "Notebook" }).click()
        await third.reload()
        await editorOf(third).waitFor()
        await third.close()
        await one.getByRole("button", { name: "Remove Lemons" }).click()
        await listed(two).getByText("Lemons").waitFor({ state: "detached" })
        assert.deepStrictEqual(await accessibilityProblems(one), [])
        await shoot(one, "list")
      })
    })
  )

  it("is small, with both clients, the editor and libsodium", () => {
    const folder = join(import.meta.dirname, "../../packages/cli/pages/notebook")
    const files = globSync("**/*.{html,js,css,svg}", { cwd: folder })
    assert.isAbove(files.length, 3)
    const sizes = files.map((file) => gzipSync(readFileSync(join(folder, file))).length)
    const total = sizes.reduce((sum, size) => sum + size, 0)
    assert.isBelow(total, MAX_GZIPPED_BYTES, `${total} bytes, gzipped`)
  })
})
