import { assert, describe, it } from "vitest"
import { requirePrograms } from "./system/Binary.ts"

describe("tests that need programs of Debian's", () => {
  it("fail where they are missing, and say what to install", () => {
    assert.throws(
      () => requirePrograms("/nowhere"),
      "Try: apt-get install --no-install-recommends redis-server haproxy nginx-light zsh swift-proxy swift-account swift-container swift-object"
    )
  })
})
