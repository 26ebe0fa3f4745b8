/** The receiver of webhooks in Python that docs/changes.md shows. */
import { it } from "@effect/vitest"
import { tryReceiver } from "../support/docs/tryReceiver.ts"

it.live("the receiver in Python stores a delivery that its secret signed, and refuses another", () =>
  tryReceiver({
    language: "python",
    program: "/usr/bin/python3",
    file: "receiver.py",
    store: 'store = lambda id, message: print("stored", message["type"], flush=True)'
  })
)
