/** Bare clients of a document: they send messages signed beforehand, and read as little of a frame as they can. */
import { type Author, ephemeralMessage, makeAuthor, type SealedSnapshot, snapshotMessage } from "@sealog/server/testing"
import { WebSocket } from "ws"

export interface Target {
  readonly url: string
  readonly token: string
}

/** Shared by all readers, because signing for each would take most of a load's time. */
const silentAuthor = makeAuthor()

export interface ConnectOptions {
  /** The rest of the query, beginning with `&`. Default: the complete document. */
  readonly query?: string
  /** Whether the client sends a message once it has the document, as real clients do. Default: true. */
  readonly answers?: boolean
}

/** Connects to a document. Resolves with the first frame. */
export const connect = (
  { url, token }: Target,
  documentId: string,
  { query = "&mode=complete", answers = true }: ConnectOptions = {}
): Promise<{ readonly socket: WebSocket; readonly first: Buffer }> =>
  new Promise((resolve, reject) => {
    const socket = new WebSocket(`${url}/${documentId}?sessionKey=${token}${query}`, {
      perMessageDeflate: false,
      maxPayload: 256 * 1024 * 1024
    })
    socket.once("message", (first: Buffer) => {
      if (answers) socket.send(JSON.stringify(ephemeralMessage(silentAuthor, { docId: documentId })))
      resolve({ socket, first })
    })
    socket.once("error", reject)
  })

/** Creates a document with a snapshot of `bytes` sealed bytes. Resolves once the snapshot is saved. */
export const begin = async (
  target: Target,
  documentId: string,
  bytes: number
): Promise<{ readonly socket: WebSocket; readonly author: Author; readonly snapshot: SealedSnapshot }> => {
  const author = makeAuthor()
  const { socket } = await connect(target, documentId, { answers: false })
  const snapshot = snapshotMessage(author, { docId: documentId, ciphertext: bytes })
  const saved = new Promise<void>((resolve, reject) => {
    socket.once("message", (data: Buffer) =>
      data.includes("snapshot-saved") ? resolve() : reject(new Error(data.subarray(0, 200).toString()))
    )
  })
  socket.send(JSON.stringify(snapshot))
  await saved
  return { socket, author, snapshot }
}

const CLOCK = '"clock":'

/** Reads the clock of an update, or of the answer to one; -1 if there is none. */
export const clockOf = (data: Buffer): number => {
  const at = data.indexOf(CLOCK)
  return at < 0 ? -1 : Number.parseInt(data.toString("latin1", at + CLOCK.length, at + CLOCK.length + 16), 10)
}

export const isUpdate = (data: Buffer): boolean => data.indexOf('{"type":"update",') === 0 || isPeersUpdate(data)
/** `secsync-server` puts the type last. */
const isPeersUpdate = (data: Buffer): boolean => data.subarray(-18).includes('"type":"update"}')
