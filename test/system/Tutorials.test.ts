/** The pages of docs/tutorials, typed word by word into an empty folder, and tried in two windows of a real browser. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { beforeAll, vi } from "vitest"
import { packAll } from "../packages/support.ts"
import { type Page, startBrowser } from "../support/browser/Browser.ts"
import { makeTutorial } from "../support/docs/Tutorial.ts"

// npm downloads the packages that the pages name.
vi.setConfig({ testTimeout: 600_000, hookTimeout: 600_000 })

let tarballs: ReadonlyArray<string> = []
beforeAll(async () => {
  tarballs = await packAll()
})

const add = async (page: Page, label: string, text: string): Promise<void> => {
  await page.getByLabel(label).fill(text)
  await page.getByRole("button", { name: "Add" }).click()
}

/** Two people share notes. */
const shareNotes = async (ada: Page, grace: Page, text: string): Promise<void> => {
  await add(ada, "New note", `${text}, says Ada`)
  await grace.getByText(`${text}, says Ada`).waitFor()
  await add(grace, "New note", `${text}, says Grace`)
  await ada.getByText(`${text}, says Grace`).waitFor()
}

/** One person adds an item, and the other one ticks it. */
const shareItem = async (ada: Page, grace: Page, text: string): Promise<void> => {
  await add(ada, "New item", text)
  await grace.getByLabel(text).check()
  await ada.getByRole("checkbox", { name: text, checked: true }).waitFor()
}

// They wait for npm most of the time.
describe.concurrent("the tutorials", () => {
  it.live("Secsync: two windows share notes, in plain JavaScript and with React", () =>
    Effect.gen(function* () {
      const browser = yield* startBrowser
      const { follow, left, urlOf } = yield* makeTutorial(tarballs)
      yield* follow("secsync.md", "Start a server", "Write the app")
      const document = yield* Effect.scoped(
        Effect.gen(function* () {
          const ada = yield* browser.open(urlOf("app"))
          yield* Effect.promise(() => ada.page.waitForURL(/#.+\..+/))
          const grace = yield* browser.open(ada.page.url())
          yield* Effect.promise(() => shareNotes(ada.page, grace.page, "The ferry leaves at nine"))
          return new URL(ada.page.url()).hash
        })
      )
      yield* follow("secsync.md", "Look at the log")
      assert.deepStrictEqual(left("secsync.md"), [])

      yield* follow("react.md", "Secsync")
      const address = `${urlOf("app")}${document}`
      const [one, two] = [yield* browser.open(address), yield* browser.open(address)]
      yield* Effect.promise(async () => {
        await one.page.getByText("The ferry leaves at nine, says Ada").waitFor()
        await shareNotes(one.page, two.page, "Bring the blue folder")
      })
    })
  )

  it.live("Verdant: two windows share a list, in plain JavaScript and with React", () =>
    Effect.gen(function* () {
      const browser = yield* startBrowser
      const { follow, left, urlOf } = yield* makeTutorial(tarballs)
      yield* follow("verdant.md", "Start a server", "Write the app")
      yield* Effect.scoped(
        Effect.gen(function* () {
          const ada = yield* browser.open(urlOf("app"))
          const grace = yield* browser.open(`${urlOf("app")}?user=grace`)
          yield* Effect.promise(() => shareItem(ada.page, grace.page, "milk"))
        })
      )
      yield* follow("verdant.md", "Look at the log")
      assert.deepStrictEqual(left("verdant.md"), [])

      yield* follow("react.md", "Verdant")
      const [one, two] = [yield* browser.open(urlOf("app")), yield* browser.open(`${urlOf("app")}?user=grace`)]
      yield* Effect.promise(async () => {
        await two.page.getByRole("checkbox", { name: "milk", checked: true }).waitFor()
        await shareItem(one.page, two.page, "bread")
      })
      assert.deepStrictEqual(left("react.md"), ["Secsync"])
    })
  )
})
