/** Delivers a webhook to a receiver that docs/changes.md shows, by the page's own commands. */
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { assert } from "@effect/vitest"
import { Effect } from "effect"
import { freshFolder, root, run, start, writeFiles } from "../../packages/support.ts"
import { freePort } from "../network/freePort.ts"
import { syncAdmin } from "../servers/ServerProcess.ts"
import { until } from "../until.ts"
import { blocksOf } from "./blocks.ts"

export interface Receiver {
  readonly language: "ts" | "python"
  /** The program that runs the block, and the block's file. */
  readonly program: string
  readonly file: string
  /** The function of the app that the block calls with each message. Prints "stored", and the type of the message. */
  readonly store: string
}

/** Returns the block of a language in the page's section. */
export const shown = (section: string, language: string): string => {
  const blocks = blocksOf("docs/changes.md", readFileSync(join(root, "docs/changes.md"), "utf8"))
  const block = blocks.find((block) => block.place === `docs/changes.md: ${section}` && block.language === language)
  return block?.text ?? assert.fail(`${section} has no ${language}`)
}

/** A signed message is stored, and one that another secret signed is refused. */
export const tryReceiver = Effect.fnUntraced(function* ({ file, language, program, store }: Receiver) {
  const node = join(process.execPath, "..")
  const cwd = freshFolder()
  const port = String(yield* Effect.promise(freePort))
  writeFiles(cwd, { [file]: `${store}\n${shown("Webhooks", language).replace("8080", port)}` })
  const sealog = (...args: ReadonlyArray<string>) =>
    Effect.promise(() => run(["node", syncAdmin, ...args], { cwd, node }))
  yield* sealog("migrate")
  const url = `http://127.0.0.1:${port}/hook`
  const add = Effect.map(sealog("webhook", "add", url, "--json"), (printed) => JSON.parse(printed))
  const webhook = yield* add
  const another = yield* add
  const receiver = yield* Effect.acquireRelease(
    Effect.sync(() => start([program, file], { cwd, node, env: { WEBHOOK_SECRET: webhook.secret } })),
    ({ stop }) => Effect.promise(stop)
  )
  const answers = Effect.promise(() =>
    fetch(url).then(
      () => true,
      () => false
    )
  )
  yield* until("the receiver answers", answers, receiver.output)
  yield* sealog("webhook", "test", webhook.id)
  yield* Effect.promise(() => receiver.written(/stored webhook\.test/))
  const refused = Effect.promise(() =>
    run(["node", syncAdmin, "webhook", "test", another.id], { cwd, node }).then(
      () => "",
      (error) => String(error)
    )
  )
  assert.include(yield* refused, "401")
})
