// Shares a text, end-to-end encrypted, with every client that runs this with the same document and token:
//   node examples/secsync-client.ts ws://localhost:4000 my-document <token>
import { createInterface } from "node:readline"
import sodium from "libsodium-wrappers"
import * as Secsync from "secsync"
import { createActor } from "xstate"
import * as Yjs from "yjs"

const [websocketEndpoint = "", documentId = "", websocketSessionKey = ""] = process.argv.slice(2)
await sodium.ready
const doc = new Yjs.Doc()
const text = doc.getText("text")
// A real app makes a random key, and shares it with its users but never with the server.
const key = sodium.crypto_generichash(32, "the key of this example", null)

const input = {
  ...{ documentId, websocketEndpoint, websocketSessionKey, sodium },
  signatureKeyPair: Secsync.createSignatureKeyPair(sodium),
  getSnapshotKey: () => key,
  getNewSnapshotData: () => ({ data: Yjs.encodeStateAsUpdateV2(doc), key, publicData: {} }),
  shouldSendSnapshot: ({ snapshotUpdatesCount }: { snapshotUpdatesCount: number }) => snapshotUpdatesCount > 200,
  applySnapshot: (snapshot: Uint8Array) => Yjs.applyUpdateV2(doc, snapshot, "remote"),
  applyChanges: (changes: Uint8Array[]) => changes.forEach((change) => void Yjs.applyUpdateV2(doc, change, "remote")),
  serializeChanges: (changes: Uint8Array[]) => Secsync.serializeUint8ArrayUpdates(changes, sodium),
  deserializeChanges: (changes: string) => Secsync.deserializeUint8ArrayUpdates(changes, sodium),
  applyEphemeralMessage: () => {},
  isValidClient: () => true
}
const client = createActor(Secsync.createSyncMachine(), { input }).start()
doc.on("updateV2", (update: Uint8Array, origin: unknown) => {
  if (origin !== "remote") client.send({ type: "ADD_CHANGES", data: [update] })
  else console.log(text.toString())
})

console.log("Type a line to add it.")
createInterface({ input: process.stdin }).on("line", (line) => text.insert(text.length, `${line}\n`))
