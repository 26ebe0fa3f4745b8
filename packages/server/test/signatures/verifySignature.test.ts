/** A server that accepts what its clients refuse would leave them with a document that they cannot load. */
import { assert, describe, it } from "@effect/vitest"
import { blake2b256With, startBlake2b256With } from "@sealog/server/domain/Blake2b"
import { loadImplementations } from "@sealog/server/domain/sodium"
import { makeDecoder } from "@sealog/server/protocols/secsync/Wire"
import { type SignedText, verifySignature, verifyWith } from "@sealog/server/signatures/verifySignature"
import { makeAuthor, updateMessage } from "@sealog/server/testing"
import sodium from "libsodium-wrappers"

/** Key, message, signature: the 12 vectors of Chalkias, Garillot and Nikolaenko, https://eprint.iacr.org/2020/1244. */
const vectors: ReadonlyArray<readonly [what: string, key: string, message: string, r: string, s: string]> = [
  [
    "small-order key and R, S = 0",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
    "8c93255d71dcab10e8f379c26200f3c7bd5f09d9bc3068d3ef4edeb4853022b6",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    "0000000000000000000000000000000000000000000000000000000000000000"
  ],
  [
    "small-order key",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
    "9bd9f44f4dcc75bd531b56b2cd280b0bb38fc1cd6d1230e14861d861de092e79",
    "f7badec5b8abeaf699583992219b7b223f1df3fbbea919844e3f7c554a43dd43",
    "a5bb704786be79fc476f91d3f3f89b03984d8068dcf1bb7dfc6637b45450ac04"
  ],
  [
    "small-order R",
    "f7badec5b8abeaf699583992219b7b223f1df3fbbea919844e3f7c554a43dd43",
    "aebf3f2601a0c8c5d39cc7d8911642f740b78168218da8471772b35f9d35b9ab",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
    "8c4bd45aecaca5b24fb97bc10ac27ac8751a7dfe1baff8b953ec9f5833ca260e"
  ],
  [
    "mixed-order key and R, right with and without the cofactor",
    "cdb267ce40c5cd45306fa5d2f29731459387dbf9eb933b7bd5aed9a765b88d4d",
    "9bd9f44f4dcc75bd531b56b2cd280b0bb38fc1cd6d1230e14861d861de092e79",
    "9046a64750444938de19f227bb80485e92b83fdb4b6506c160484c016cc1852f",
    "87909e14428a7a1d62e9f22f3d3ad7802db02eb2e688b6c52fcd6648a98bd009"
  ],
  [
    "right with the cofactor alone",
    "cdb267ce40c5cd45306fa5d2f29731459387dbf9eb933b7bd5aed9a765b88d4d",
    "e47d62c63f830dc7a6851a0b1f33ae4bb2f507fb6cffec4011eaccd55b53f56c",
    "160a1cb0dc9c0258cd0a7d23e94d8fa878bcb1925f2c64246b2dee1796bed512",
    "5ec6bc982a269b723e0668e540911a9a6a58921d6925e434ab10aa7940551a09"
  ],
  [
    "right with the cofactor alone, multiplied first",
    "cdb267ce40c5cd45306fa5d2f29731459387dbf9eb933b7bd5aed9a765b88d4d",
    "e47d62c63f830dc7a6851a0b1f33ae4bb2f507fb6cffec4011eaccd55b53f56c",
    "21122a84e0b5fca4052f5b1235c80a537878b38f3142356b2c2384ebad4668b7",
    "e40bc836dac0f71076f9abe3a53f9c03c1ceeeddb658d0030494ace586687405"
  ],
  [
    "S > L",
    "442aad9f089ad9e14647b1ef9099a1ff4798d78589e66f28eca69c11f582a623",
    "85e241a07d148b41e47d62c63f830dc7a6851a0b1f33ae4bb2f507fb6cffec40",
    "e96f66be976d82e60150baecff9906684aebb1ef181f67a7189ac78ea23b6c0e",
    "547f7690a0e2ddcd04d87dbc3490dc19b3b3052f7ff0538cb68afb369ba3a514"
  ],
  [
    "S far above L",
    "442aad9f089ad9e14647b1ef9099a1ff4798d78589e66f28eca69c11f582a623",
    "85e241a07d148b41e47d62c63f830dc7a6851a0b1f33ae4bb2f507fb6cffec40",
    "8ce5b96c8f26d0ab6c47958c9e68b937104cd36e13c33566acd2fe8d38aa1942",
    "7e71f98a473474f2f13f06f97c20d58cc3f54b8bd0d272f42b695dd7e89a8c22"
  ],
  [
    "non-canonical R",
    "f7badec5b8abeaf699583992219b7b223f1df3fbbea919844e3f7c554a43dd43",
    "9bedc267423725d473888631ebf45988bad3db83851ee85c85e241a07d148b41",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    "03be9678ac102edcd92b0210bb34d7428d12ffc5df5f37e359941266a4e35f0f"
  ],
  [
    "non-canonical R, hashed as it would be canonical",
    "f7badec5b8abeaf699583992219b7b223f1df3fbbea919844e3f7c554a43dd43",
    "9bedc267423725d473888631ebf45988bad3db83851ee85c85e241a07d148b41",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    "ca8c5b64cd208982aa38d4936621a4775aa233aa0505711d8fdcfdaa943d4908"
  ],
  [
    "non-canonical key",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    "e96b7021eb39c1a163b6da4e3093dcd3f21387da4cc4572be588fafae23c155b",
    "a9d55260f765261eb9b84e106f665e00b867287a761990d7135963ee0a7d59dc",
    "a5bb704786be79fc476f91d3f3f89b03984d8068dcf1bb7dfc6637b45450ac04"
  ],
  [
    "non-canonical key, hashed as it would be canonical",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    "39a591f5321bbe07fd5a23dc2f39d025d74526615746727ceefd6e82ae65c06f",
    "a9d55260f765261eb9b84e106f665e00b867287a761990d7135963ee0a7d59dc",
    "a5bb704786be79fc476f91d3f3f89b03984d8068dcf1bb7dfc6637b45450ac04"
  ]
]

/** The vectors that libsodium accepts: Table 5 of the paper. */
const ACCEPTED = ["mixed-order key and R, right with and without the cofactor"]

/** The points of small order, in every encoding that decodes to them. */
const smallOrder = [
  "0100000000000000000000000000000000000000000000000000000000000000",
  "0100000000000000000000000000000000000000000000000000000000000080",
  "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
  "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
  "0000000000000000000000000000000000000000000000000000000000000000",
  "0000000000000000000000000000000000000000000000000000000000000080",
  "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
  "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
  "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
  "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
  "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
  "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
  "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
  "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff"
]

/** The order of the group, little-endian. */
const L = 2n ** 252n + 27742317777372353535851937790883648493n

const hex = (text: string) => Buffer.from(text, "hex")

const signedUpdate = (): SignedText => {
  const update = updateMessage(makeAuthor(), { docId: "d", refSnapshotId: "s", clock: 0 })
  const message = makeDecoder()(JSON.stringify(update))
  if (message._tag !== "Update") throw new Error(message._tag)
  return message.signed
}

/** Verifies as the npm package `secsync` does. */
const asClients = ({ text, signature, pubKey }: SignedText): boolean => {
  try {
    return sodium.crypto_sign_verify_detached(sodium.from_base64(signature), text, sodium.from_base64(pubKey))
  } catch {
    return false
  }
}

const implementations = await loadImplementations()

it("the native implementation loads on the platforms that the tests run on", () => {
  assert.isDefined(implementations["sodium-native"])
})

for (const [name, implementation] of Object.entries(implementations)) {
  const verify = implementation.verifyDetached
  describe(name, () => {
    for (const [what, key, message, r, s] of vectors) {
      it(`${ACCEPTED.includes(what) ? "accepts" : "refuses"}: ${what}`, () => {
        assert.strictEqual(verify(hex(r + s), hex(message), hex(key)), ACCEPTED.includes(what))
      })
    }

    it("refuses every small-order key with every small-order R", () => {
      const zero = "00".repeat(32)
      for (const key of smallOrder) {
        for (const r of smallOrder) {
          for (let i = 0; i < 8; i++) assert.isFalse(verify(hex(r + zero), Buffer.of(i), hex(key)))
        }
      }
    })

    it("refuses the same signature with L added to S", () => {
      const { keyType: _, privateKey, publicKey } = sodium.crypto_sign_keypair()
      const signature = Buffer.from(sodium.crypto_sign_detached("text", privateKey))
      assert.isTrue(verify(signature, Buffer.from("text"), publicKey))
      const s = BigInt(`0x${Buffer.from(signature.subarray(32)).reverse().toString("hex")}`) + L
      const malleated = Buffer.concat([signature.subarray(0, 32), hex(s.toString(16).padStart(64, "0")).reverse()])
      assert.isFalse(verify(malleated, Buffer.from("text"), publicKey))
    })

    it("decides as clients do for any change to the base64 of signature and key", () => {
      const signed = signedUpdate()
      const changed = (text: string): ReadonlyArray<string> => [
        text,
        "",
        "A",
        `${text}=`,
        `${text}==`,
        ` ${text}`,
        `${text}\n`,
        `${text}A`,
        text.slice(1),
        text.slice(0, -1),
        text.slice(0, -2),
        `!${text.slice(1)}`,
        `+/${text.slice(2)}`,
        // Other last characters stand for the same bytes, and differ in unused bits.
        ..."ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
          .split("")
          .map((c) => text.slice(0, -1) + c)
      ]
      const variants = [
        ...changed(signed.signature).map((signature) => ({ ...signed, signature })),
        ...changed(signed.pubKey).map((pubKey) => ({ ...signed, pubKey })),
        { ...signed, text: `${signed.text} ` },
        { ...signed, text: "" }
      ]
      for (const variant of variants) assert.strictEqual(verifyWith(implementation)(variant), asClients(variant))
      assert.strictEqual(variants.filter(verifyWith(implementation)).length, 4)
      assert.isTrue(verifySignature(signed))
    })

    it("hashes as libsodium does", () => {
      for (const text of ["", "abc", "sealed ✉ 𝄞", "x".repeat(100_000)]) {
        assert.strictEqual(blake2b256With(implementation)(text), sodium.crypto_generichash(32, text, null, "base64"))
        const view = Buffer.from(`--${text}`).subarray(2)
        assert.strictEqual(blake2b256With(implementation)(view), blake2b256With(implementation)(text))
        const { update, digest } = startBlake2b256With(implementation)()
        for (let at = 0; at < view.length; at += 77) update(view.subarray(at, at + 77))
        assert.strictEqual(digest(), blake2b256With(implementation)(text))
      }
    })

    it("verifies texts that are not ASCII", () => {
      const { privateKey, publicKey } = sodium.crypto_sign_keypair()
      const text = "sealed ✉ 𝄞"
      const signed = {
        text,
        signature: sodium.to_base64(sodium.crypto_sign_detached(text, privateKey)),
        pubKey: sodium.to_base64(publicKey)
      }
      assert.isTrue(verifyWith(implementation)(signed))
      assert.isTrue(asClients(signed))
    })
  })
}
