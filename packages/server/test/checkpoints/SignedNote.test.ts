import { assert, describe, it } from "@effect/vitest"
import {
  checkpointText,
  makeKeys,
  openNote,
  parseCheckpoint,
  parseSigner,
  parseVerifier,
  signNote
} from "../../src/checkpoints/SignedNote.ts"

/** The example of Go's package golang.org/x/mod/sumdb/note. */
const GO = {
  signer: "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz",
  verifier: "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
  note: `If you think cryptography is the answer to your problem,
then you don't know what your problem is.

— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=
`
}
const text = GO.note.slice(0, GO.note.indexOf("\n\n") + 1)

describe("a signed note", () => {
  it("is the one that Go's package makes with the same key", () => {
    const signer = parseSigner(GO.signer)!
    assert.strictEqual(signer.verifier.text, GO.verifier)
    assert.strictEqual(signNote(text, signer), GO.note)
    assert.strictEqual(openNote(GO.note, parseVerifier(GO.verifier)!), text)
  })

  it("opens among the signatures of others, and not with another key or another text", () => {
    const keys = makeKeys("example.com/log")!
    const other = makeKeys("example.com/log")!
    const note = signNote("a\n\nb\n", parseSigner(keys.signer)!)
    const witnessed = note + signNote("a\n\nb\n", parseSigner(GO.signer)!).split("\n\n").at(-1)
    for (const key of [keys.verifier, GO.verifier]) {
      assert.strictEqual(openNote(witnessed, parseVerifier(key)!), "a\n\nb\n")
    }
    assert.isUndefined(openNote(note, parseVerifier(other.verifier)!))
    assert.isUndefined(openNote(note.replace("b", "c"), parseVerifier(keys.verifier)!))
    assert.isUndefined(openNote("", parseVerifier(keys.verifier)!))
  })

  it("has keys that are refused once a character changes", () => {
    for (const [text, parse] of [
      [GO.signer, parseSigner],
      [GO.verifier, parseVerifier]
    ] as const) {
      const at = text.indexOf("+A") + 9
      assert.isUndefined(parse(text.slice(0, at) + (text[at] === "x" ? "y" : "x") + text.slice(at + 1)))
      assert.isUndefined(parse(text.slice(0, -1)))
    }
    for (const name of ["", "a b", "a+b", "a\nb"]) assert.isUndefined(makeKeys(name))
  })
})

describe("a checkpoint", () => {
  it("is three lines: origin, size, root", () => {
    const head = { origin: "example.com/log", size: 12, root: Buffer.alloc(32, 7) }
    const text = checkpointText(head)
    assert.strictEqual(text, "example.com/log\n12\nBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=\n")
    assert.deepStrictEqual(parseCheckpoint(`${text}an extension\n`), head)
    for (const wrong of ["", "\n1\n", "a\n01\nBwc=\n", "a\n-1\n", text.replace("12", "1e3"), text.replace("Bw", "")]) {
      assert.isUndefined(parseCheckpoint(wrong))
    }
  })
})
