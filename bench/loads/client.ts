/** Bare clients of a document: they send what was signed beforehand, and look at no more of a frame than they must. */
import { type Author, ephemeralMessage, makeAuthor, type SealedSnapshot, snapshotMessage } from "@sealog/server/testing"
import { WebSocket } from "ws"

export interface Target {
  readonly url: string
  readonly token: string
}

/** Signing one for every reader would be most of a load's time. */
const silentAuthor = makeAuthor()

export interface ConnectOptions {
  /** More of the query, beginning with `&`. Default: the complete document. */
  readonly query?: string
  /** Says that it has taken the document, as clients do. Default: yes. */
  readonly answers?: boolean
}

/** Done with the first frame. */
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

/** A new document with its first snapshot, and its author's connection. */
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

/** The clock of an update, or of the answer to one. */
export const clockOf = (data: Buffer): number => {
  const at = data.indexOf(CLOCK)
  return at < 0 ? -1 : Number.parseInt(data.toString("latin1", at + CLOCK.length, at + CLOCK.length + 16), 10)
}

export const isUpdate = (data: Buffer): boolean => data.indexOf('{"type":"update",') === 0 || isPeersUpdate(data)
/** `secsync-server` puts the type last. */
const isPeersUpdate = (data: Buffer): boolean => data.subarray(-18).includes('"type":"update"}')
