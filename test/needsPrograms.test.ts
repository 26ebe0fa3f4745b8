import { assert, describe, it } from "vitest"
import { requireContainerTools } from "./container/needsPrograms.ts"
import { requirePrograms } from "./system/Binary.ts"

describe("tests that need Debian packages", () => {
  it("fail without their programs, and name the packages to install", () => {
    assert.throws(
      () => requirePrograms("/nowhere"),
      "Try: apt-get install --no-install-recommends redis-server haproxy nginx-light caddy zsh fish swift-proxy swift-account swift-container swift-object prometheus"
    )
    assert.throws(
      () => requireContainerTools("/nowhere"),
      "Try: apt-get install --no-install-recommends git debootstrap buildah runc"
    )
  })
})
