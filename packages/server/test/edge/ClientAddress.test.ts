/** The address for which a client's connections count. */
import { assert, describe, it } from "@effect/vitest"
import { Result } from "effect"
import { forwardedClient, networkOf, parseTrustedProxies, plainAddress } from "../../src/edge/ClientAddress.ts"

const trusted = (...entries: ReadonlyArray<string>) => Result.getOrThrow(parseTrustedProxies(entries))

describe("trusted proxies", () => {
  it("are addresses and ranges of both families", () => {
    const { trusts } = trusted("10.0.0.0/8", "192.0.2.1", "fd00::/8", " ::1 ")
    for (const address of ["10.1.2.3", "192.0.2.1", "fd12::1", "::1"]) assert.isTrue(trusts(address), address)
    for (const address of ["11.0.0.1", "192.0.2.2", "fe80::1", "::2", "", "x"]) assert.isFalse(trusts(address), address)
    assert.isFalse(trusted().trusts("127.0.0.1"))
  })

  it("are refused when they are neither", () => {
    for (const entry of [
      "",
      "x",
      "10.0.0",
      "10.0.0.0/33",
      "::/129",
      "10.0.0.0/",
      "10.0.0.0/8/8",
      "proxy.example.org"
    ]) {
      const failure = Result.getOrUndefined(Result.flip(parseTrustedProxies(["127.0.0.1", entry])))
      assert.deepStrictEqual([failure?._tag, failure?.entry], ["InvalidTrustedProxy", entry])
    }
  })
})

describe("the client behind a trusted proxy", () => {
  const proxies = trusted("10.0.0.0/8", "fd00::/8")

  it("is the right-most entry that is no trusted proxy, whatever the client put before it", () => {
    for (const [header, client] of [
      ["203.0.113.7", "203.0.113.7"],
      ["1.1.1.1, 203.0.113.7", "203.0.113.7"],
      ["10.9.9.9, 203.0.113.7, 10.0.0.2, fd00::1", "203.0.113.7"],
      ["203.0.113.7:4711", "203.0.113.7"],
      ["[2001:db8::1]:4711", "2001:db8::1"],
      ["::ffff:203.0.113.7", "203.0.113.7"]
    ] as const) {
      assert.strictEqual(forwardedClient(header, proxies), client, header)
    }
  })

  it("is not known when the proxy names none, or what it names is no address", () => {
    for (const header of [undefined, "", "10.0.0.2", "unknown", "203.0.113.7, unknown", "203.0.113.7,"]) {
      assert.isUndefined(forwardedClient(header, proxies), header)
    }
  })
})

describe("the network of an address", () => {
  it("is the address itself for IPv4, and the /64 for IPv6, however it is written", () => {
    assert.strictEqual(networkOf("203.0.113.7"), "203.0.113.7")
    for (const address of ["2001:db8:0:1::1", "2001:0DB8::1:a:b:c:d", "2001:db8:0:1:ffff:ffff:ffff:ffff"]) {
      assert.strictEqual(networkOf(address), "2001:db8:0:1::/64", address)
    }
    assert.strictEqual(networkOf("::1"), "0:0:0:0::/64")
    assert.strictEqual(networkOf("64:ff9b::192.0.2.1"), "64:ff9b:0:0::/64")
    assert.strictEqual(networkOf(plainAddress("fe80::1%eth0")!), "fe80:0:0:0::/64")
  })
})
