/** The operator's page in Chromium, on a real server with real clients. */

import { assert, describe, it } from "@effect/vitest"
import * as JwtAccess from "@sealog/server/adapters/JwtAccess"
import { createDocument } from "@sealog/server/admin/Creation"
import { DocumentId, LibraryId } from "@sealog/server/domain/Ids"
import { Effect, Redacted } from "effect"
import type { Page } from "../support/browser/Browser.ts"
import { accessibilityProblems, shoot, startBrowser } from "../support/browser/Browser.ts"
import { connectClient } from "../support/secsync/SecsyncClient.ts"
import { mintToken, spawnServer } from "../support/servers/ServerProcess.ts"
import { TOKEN_SECRET } from "../support/servers/TestServer.ts"
import { isSigned, startReceiver } from "../support/servers/WebhookReceiver.ts"
import { freshStorage, layerOf } from "../support/storage/databases.ts"
import { until } from "../support/until.ts"
import { libraryOn } from "../support/verdant/Library.ts"
import { openClient, openClients } from "../support/verdant/VerdantClient.ts"

const DOCUMENT = "field-notes"

/** A server with two libraries: Secsync clients write in "atelier", and Verdant clients in "groceries". */
const start = Effect.gen(function* () {
  const server = yield* spawnServer(yield* freshStorage, { args: ["--migrate", "--admin"] })
  const connect = (documentId: string, userId: string) =>
    Effect.flatMap(mintToken("atelier", userId), (token) =>
      connectClient({ url: server.url, documentId, token, snapshotEvery: 3 })
    )
  const ada = yield* connect(DOCUMENT, "ada")
  yield* ada.until("it is loaded", () => ada.isSettled())
  const bob = yield* connect(DOCUMENT, "bob")
  const carol = yield* connect("minutes/2026", "carol")
  for (let i = 0; i < 8; i++) {
    ada.write(`line ${i}`)
    bob.write(`other ${i}`, `more ${i}`)
    carol.write(`minute ${i}`)
    yield* until("everything is acknowledged", () => [ada, bob, carol].every((client) => client.isSettledOnActive()))
  }
  const library = libraryOn(server, "groceries")
  const [dan, eve] = yield* openClients(["dan", "eve"], { library })
  yield* openClient({ library, user: "guest", type: "read-only" })
  yield* dan.put({ content: "milk", tags: [], comments: [] })
  yield* eve.until("it has the item", (items) => items.length === 1)
  yield* until("dan has said all", () => dan.isSettled())
  // Another device of dan's goes away, so its promise stays where it is.
  const phone = yield* openClient({ library, user: "dan" })
  yield* phone.put({ content: "bread", tags: [], comments: [] })
  yield* until("the phone has said all", () => phone.isSettled())
  yield* phone.goOffline
  yield* eve.put({ content: "coffee", tags: [], comments: [] })
  yield* until("eve has said all", () => eve.isSettled())
  const { mintAdmin } = yield* Effect.orDie(JwtAccess.makeVerifier({ secrets: [Redacted.make(TOKEN_SECRET)] }))
  return { ...{ server, ada, bob, dan, eve }, token: yield* mintAdmin({ name: "grace" }) }
})

const signIn = async (page: Page, token: string) => {
  await page.getByLabel("Operator’s token").fill(token)
  await page.getByRole("button", { name: "Sign in" }).click()
  await page.getByRole("heading", { name: "Libraries", level: 1 }).waitFor()
}

/** Opens a deed's dialog by its button, and does it. */
const confirm = async (page: Page, button: string, action: string, { typed = "", reason = "" } = {}) => {
  await page.getByRole("button", { name: button }).first().click()
  const dialog = page.getByRole("dialog")
  if (typed !== "") {
    assert.isTrue(await dialog.getByRole("button", { name: action }).isDisabled(), "it waits for the name")
    await dialog.getByLabel(/to confirm/).fill(typed)
  }
  if (reason !== "") await dialog.getByLabel("Reason").fill(reason)
  await dialog.getByRole("button", { name: action }).click()
}

const told = (page: Page, text: string | RegExp) => page.getByRole("status").filter({ hasText: text }).waitFor()

describe("the operator's page", () => {
  it.live(
    "shows libraries, documents, replicas and connections to an operator, and does each deed",
    () =>
      Effect.gen(function* () {
        const { ada, server, token } = yield* start
        const url = server.url.replace("ws", "http")
        const { allow, page } = yield* (yield* startBrowser).open(`${url}/admin`)
        const problems: Array<string> = []
        const look = async (name: string) => {
          await shoot(page, `admin-${name}`)
          problems.push(...(await accessibilityProblems(page)).map((problem) => `${name}: ${problem}`))
        }
        const client = yield* mintToken("atelier")
        yield* Effect.promise(async () => {
          // A client's token is refused, which the browser tells its console.
          allow(/401/)
          await page.getByLabel("Operator’s token").fill(client)
          await page.getByRole("button", { name: "Sign in" }).click()
          await page.getByRole("alert").filter({ hasText: /token/ }).waitFor()
          await look("refused")
          await signIn(page, token)
          assert.notInclude(page.url(), token)
          assert.deepStrictEqual(await page.evaluate("[localStorage.length, document.cookie]"), [0, ""])
        })

        // The charts need readings of a server that works.
        const line = page.locator(".chart").nth(2).locator(".line").first()
        for (let round = 1; round <= 6; round++) {
          ada.write(...Array.from({ length: round * 2 }, (_, i) => `live ${round} ${i}`))
          const readings = Effect.promise(async () => (await line.getAttribute("d"))?.split("L").length ?? 0)
          yield* until(
            "the page has another reading",
            Effect.map(readings, (count) => count > round + 1)
          )
        }
        yield* Effect.promise(async () => {
          await page.getByRole("link", { name: "atelier" }).waitFor()
          // The share of the part that the library is nearest to.
          const quotas = page.getByRole("table", { name: "All libraries" }).getByRole("meter")
          assert.strictEqual(await quotas.count(), 2)
          await page.getByRole("meter", { name: "Documents of atelier in use" }).waitFor()
          await page
            .getByText(/connections/i)
            .first()
            .waitFor()
          await look("libraries")

          await page.getByLabel("Filter by name").fill("groc")
          assert.strictEqual(await page.getByRole("link", { name: "atelier" }).count(), 0)
          await page.getByRole("link", { name: "groceries" }).click()
          await page.getByText("holds the watermark").waitFor()
          await page.getByText(/Held down by dan/).waitFor()
          await look("replicas")
          await page.goBack()

          await page.getByRole("link", { name: "atelier" }).click()
          await page.getByRole("heading", { name: "Secsync documents" }).waitFor()
          await page.getByRole("rowheader", { name: /^carol/ }).waitFor()
          await look("library")
          await page.getByRole("link", { name: DOCUMENT }).first().click()
          await page.locator(".chain .SnapshotStored").first().waitFor()
          await page.locator(".chain .SnapshotStored").last().click()
          await page.getByText("parent proof").last().waitFor()
          // Each snapshot and each update shows the size of its payload.
          const events = page.getByRole("table", { name: `Events of ${DOCUMENT}` }).getByRole("row")
          const sizes = await events.filter({ has: page.getByRole("cell", { name: /^[\d.]+ k?B$/ }) }).count()
          assert.strictEqual(sizes, (await events.count()) - 1)
          await look("document")

          await page.getByRole("link", { name: "Connections" }).click()
          await page.getByRole("heading", { name: "groceries" }).waitFor()
          await look("connections")
          await page.getByRole("link", { name: "Server" }).click()
          await page.locator(".chart").nth(9).waitFor()
          await page.getByRole("rowheader", { name: DOCUMENT }).waitFor()
          await look("server")
        })

        const receiver = yield* startReceiver
        receiver.answer(() => 410)
        const secret = yield* Effect.promise(async () => {
          await page.getByRole("link", { name: "Webhooks" }).click()
          await page.getByText("No webhooks.").waitFor()
          await page.getByRole("button", { name: "Add a webhook…" }).click()
          const dialog = page.getByRole("dialog")
          await dialog.getByLabel("URL").fill("ftp://example.org/hook")
          await dialog.getByRole("button", { name: "Add" }).click()
          await dialog
            .getByRole("alert")
            .filter({ hasText: /http: or https:/ })
            .waitFor()
          await dialog.getByLabel("URL").fill(receiver.url)
          await dialog.getByLabel("Libraries").fill("atelier typo")
          allow(/404/)
          await dialog.getByRole("button", { name: "Add" }).click()
          await dialog.getByRole("alert").filter({ hasText: "no library typo" }).waitFor()
          await dialog.getByLabel("Libraries").fill("atelier")
          await dialog.getByLabel("secsync.snapshot_stored").check()
          await dialog.getByLabel("secsync.update_stored").check()
          await dialog.getByLabel("with the first change").check()
          await look("webhook-add")
          await dialog.getByRole("button", { name: "Add" }).click()
          const shown = await dialog.getByLabel("Secret").inputValue()
          // The only dialog that Escape does not close.
          await page.keyboard.press("Escape")
          await page.keyboard.press("Escape")
          await dialog.getByRole("button", { name: "Copy" }).click()
          await dialog.getByRole("status").filter({ hasText: "Copied." }).waitFor()
          await page.context().grantPermissions(["clipboard-read"])
          assert.strictEqual(await page.evaluate("navigator.clipboard.readText()"), shown)
          await look("webhook-secret")
          await dialog.getByRole("button", { name: "I have kept it" }).click()
          await told(page, "Added webhook")
          assert.notInclude(await page.content(), shown)
          return shown
        })
        yield* until("the receiver has refused a change", () => receiver.received.length > 0)
        yield* Effect.promise(async () => {
          await page.reload()
          await page.getByText("1 dead letter").waitFor()
          await look("webhooks")
          await page.getByRole("link", { name: receiver.url }).click()
          await page.getByRole("cell", { name: "status 410" }).waitFor()
          await look("webhook")
          await confirm(page, "Send a test…", "Send")
          await page.getByRole("alert").filter({ hasText: "status 410" }).waitFor()
          await page.getByRole("button", { name: "Cancel" }).click()
          receiver.answer(() => 200)
          await confirm(page, "Send a test…", "Send")
          await told(page, "status 200")
          await confirm(page, "Deliver again…", "Deliver again", { reason: "mended" })
          await told(page, "Delivers 1 dead letter again.")
          await page.getByText(/^None\. A change/).waitFor()
        })
        yield* receiver.untilTaken(2)
        assert.isTrue(receiver.received.every((message) => isSigned(secret, message)))
        yield* Effect.promise(async () => {
          await confirm(page, "Remove…", "Remove")
          await told(page, "Removed webhook")
          await page.getByText("No webhooks.").waitFor()
        })

        const before = ada.connections()
        yield* Effect.promise(async () => {
          await page.getByRole("link", { name: "Connections" }).click()
          const row = page.getByRole("row").filter({ hasText: "ada" })
          await row.getByRole("button", { name: "Disconnect" }).click()
          await page.getByRole("dialog").getByRole("button", { name: "Disconnect" }).click()
          await told(page, "Closed 1 connection.")
        })
        yield* ada.until("it is back", () => ada.connections() > before && ada.isSettled())

        yield* Effect.promise(async () => {
          await page.goto(`${url}/admin#/libraries/atelier`)
          await confirm(page, "Suspend", "Suspend", { reason: "unpaid" })
          await told(page, "Suspended atelier.")
          await page.getByText("suspended", { exact: true }).waitFor()
          await page.getByRole("cell", { name: "unpaid" }).waitFor()
          await confirm(page, "Resume", "Resume")
          await told(page, "Resumed atelier.")

          await page.getByRole("button", { name: "Set quota…" }).click()
          await page.getByRole("dialog").getByLabel("Documents", { exact: true }).fill("3")
          await look("quota")
          await page.getByRole("dialog").getByRole("button", { name: "Set quota" }).click()
          await told(page, "Set the quota of atelier.")
          await page.getByRole("row", { name: "Documents" }).getByRole("cell", { name: "3", exact: true }).waitFor()
          // The list shows how far the library is toward it.
          await page.goto(`${url}/admin#/`)
          await page.getByRole("row", { name: "atelier" }).getByText("66 % documents").waitFor()
          await look("quotas")
          await page.goto(`${url}/admin#/libraries/atelier`)

          await page.getByRole("button", { name: "Revoke tokens…" }).click()
          await page.getByRole("dialog").getByLabel("User").fill("carol")
          await page.getByRole("dialog").getByRole("button", { name: "Revoke" }).click()
          await told(page, "Revoked every token of carol in atelier.")
          await page.getByRole("rowheader", { name: /^carol/ }).waitFor({ state: "detached" })

          await page.goto(`${url}/admin#/libraries/groceries`)
          await confirm(page, "Mark as truant", "Mark as truant")
          await told(page, /is truant/)
          await page.getByText("truant", { exact: true }).waitFor()

          await page.goto(`${url}/admin#/libraries/atelier/documents/${DOCUMENT}`)
          await page.getByRole("button", { name: "Evict…" }).click()
          await page
            .getByRole("dialog")
            .getByText(/concerns 1 document/)
            .waitFor()
          await look("evict")
          await page.getByRole("dialog").getByRole("button", { name: "Evict" }).click()
          await told(page, /^Evicted 1 document/)
          await page.locator(".chain .Evicted").first().waitFor()
        })
        // The clients that have the document restore it.
        yield* ada.until("the document is back", () => ada.isSettled())

        yield* Effect.promise(async () => {
          await page.locator(".chain .gone").first().waitFor()
          await look("evicted")
          await confirm(page, "Delete…", "Delete for good", { typed: DOCUMENT, reason: "account closed" })
          await told(page, /for good/)
          await page.goto(`${url}/admin#/libraries/atelier`)
          await page.getByRole("row", { name: DOCUMENT }).getByText("deleted", { exact: true }).waitFor()
          await page.goto(`${url}/admin#/libraries/atelier/documents/${DOCUMENT}`)
          await confirm(page, "Allow again…", "Allow again")
          await told(page, /Clients can make/)

          await page.goto(`${url}/admin#/libraries/groceries`)
          await page.getByRole("button", { name: "Delete…" }).click()
          await page
            .getByRole("dialog")
            .getByLabel(/to confirm/)
            .fill("atelier")
          await look("delete")
          assert.isTrue(await page.getByRole("dialog").getByRole("button", { name: "Delete for good" }).isDisabled())
          // Escape closes a dialog, and nothing was done.
          await page.keyboard.press("Escape")
          await page.getByRole("dialog").waitFor({ state: "detached" })
          await confirm(page, "Delete…", "Delete for good", { typed: "groceries" })
          await told(page, /Deleted groceries for good/)
          await page.getByText("deleted", { exact: true }).waitFor()

          await page.getByRole("link", { name: "Server" }).click()
          await page.getByRole("button", { name: "Revoke…" }).click()
          await page.getByRole("dialog").getByLabel("User").fill("grace")
          await page.getByRole("dialog").getByRole("button", { name: "Revoke" }).click()
          // The operator's own token is among them.
          await page.getByRole("alert").filter({ hasText: "The token was revoked" }).waitFor()
          assert.strictEqual(await page.evaluate("sessionStorage.length"), 0)
        })
        assert.deepStrictEqual(problems, [])
      }),
    { timeout: 300_000 }
  )

  it.live(
    "shows thousands of libraries and documents, filters and orders all of them, and draws a hundred at a time",
    () =>
      Effect.gen(function* () {
        const database = yield* freshStorage
        const server = yield* spawnServer(database, { args: ["--migrate", "--admin"] })
        const create = (libraryId: string, documentId: string) =>
          createDocument(LibraryId.make(libraryId), DocumentId.make(documentId))
        // More than a page of the API has.
        const numbers = Array.from({ length: 1100 }, (_, i) => String(i).padStart(4, "0"))
        yield* Effect.forEach(
          numbers,
          (n) => Effect.andThen(create(`team-${n}`, "plan"), create("archive", `note-${n}`)),
          {
            discard: true
          }
        ).pipe(Effect.provide(layerOf(database)), Effect.orDie)
        const { mintAdmin } = yield* Effect.orDie(JwtAccess.makeVerifier({ secrets: [Redacted.make(TOKEN_SECRET)] }))
        const token = yield* mintAdmin({ name: "grace" })
        const { page } = yield* (yield* startBrowser).open(`${server.url.replace("ws", "http")}/admin`)
        yield* Effect.promise(async () => {
          await signIn(page, token)
          const libraries = page.getByRole("table", { name: "All libraries" }).getByRole("rowheader")
          await page.getByText("1,001 more.").waitFor()
          assert.strictEqual(await libraries.count(), 100)
          await page.getByRole("button", { name: "Show more" }).click()
          await page.getByText("901 more.").waitFor()
          assert.strictEqual(await libraries.count(), 200)
          await page.getByLabel("Order").selectOption("events")
          assert.strictEqual(await libraries.first().textContent(), "archive")
          await page.getByLabel("Filter by name").fill("team-1099")
          assert.deepStrictEqual(await libraries.allTextContents(), ["team-1099"])

          await page.goto(`${page.url().split("#")[0]}#/libraries/archive`)
          const documents = page.getByRole("table", { name: "Documents of archive" }).getByRole("rowheader")
          await page.getByText("1,000 more.").waitFor()
          await page.getByLabel("Order").selectOption("name")
          assert.strictEqual(await documents.first().textContent(), "note-0000")
          await page.getByLabel("Filter by name").fill("1099")
          await documents.getByRole("link", { name: "note-1099" }).click()
          await page.getByRole("heading", { name: "note-1099" }).waitFor()
        })
      }),
    { timeout: 300_000 }
  )
})
