/** The server inside an app, as `createSealog` returns it. */
import type { Duration } from "effect"
import type { DocumentChange } from "../domain/verdant/DocumentChange.ts"
import type { LibraryChange } from "../domain/verdant/views/LibraryChange.ts"
import type { VerdantInfo } from "../domain/verdant/views/LibraryInfo.ts"
import type { NodeHandlers } from "../edge/NodeHandlers.ts"
import type { Transport } from "../edge/Transports.ts"
import type { Grant, ReplicaTypeName } from "../ports/Access.ts"
import type { Health } from "../ports/Workers.ts"
import type { FileInfo } from "../protocols/verdant/VerdantLibraries.ts"

/**
 * A server inside an app.
 *
 * Promises reject with `TypeError` for an id that is malformed, with `SealogClosed` after `close`, with `StorageUnavailable`
 * while the storage cannot be reached (try again later), and with what a method names besides.
 */
export interface Sealog {
  /**
   * The handlers of Node's `request` and `upgrade` events. Give them every request and upgrade, or those under the path; they
   * leave to `next` what is not Sealog's. `request` goes before anything that reads a body.
   */
  readonly handlers: Pick<NodeHandlers["Service"], "request" | "upgrade">
  /**
   * Whether the storage can be read, commits succeed and commands are answered, for a route of the app that a load balancer asks.
   * It may be called as often as one likes: the storage is asked at most once a second.
   */
  readonly health: () => Promise<Health>

  /** A token for a user of a library. With sessions, it only tells Verdant's client where the server is. */
  readonly mint: (request: MintRequest) => Promise<string>
  /** The rights of a token. Rejects with `TokenRefused`. With sessions, it rejects always. */
  readonly verify: (token: string) => Promise<Grant>
  /**
   * Asks the policy again for the connections that match all of the given fields, in every process, and closes those that may
   * not receive any more. Resolves when this process has decided. Change the app's own data first.
   */
  readonly accessChanged: (change: AccessChanged) => Promise<void>
  /** Makes tokens or sessions worthless, and closes their connections. Returns whether that changed anything. */
  readonly revoke: (revocation: Revoked) => Promise<boolean>
  /** Closes a library to all clients until `resume`. Returns whether that changed anything. */
  readonly suspend: (libraryId: string) => Promise<boolean>
  readonly resume: (libraryId: string) => Promise<boolean>

  /**
   * Deletes a library's content from the server: Verdant's data with its files, and the Secsync documents. The next client
   * that comes with a copy restores it. Resolves when it is durable; returns whether there was anything to evict.
   */
  readonly evict: (libraryId: string) => Promise<boolean>
  /**
   * Makes an empty Secsync document, durably when it resolves; false: it exists. Needed with `secsync.createDocuments: false`,
   * where no client makes one. Rejects with `DocumentRefused` when it was deleted, or the library is full.
   */
  readonly createDocument: (libraryId: string, documentId: string) => Promise<boolean>
  /**
   * Deletes a library, or one Secsync document of it, for good: payloads and files go, the history stays checkable, and no
   * client can bring it back or make another under the name (docs/erasure.md). Clients are closed with 4404. Resolves when it
   * is durable, for a library after six seconds more; returns whether there was anything to delete.
   */
  readonly delete: (target: DeletionTarget) => Promise<boolean>
  /** Lets clients make a deleted library or document again. Returns whether it was deleted. Nothing comes back by this alone. */
  readonly allowAgain: (target: DeletionTarget) => Promise<boolean>
  /**
   * A library's Verdant data in numbers, and how far its replicas are; `undefined`: there is none, or it was evicted and no
   * client has come back.
   */
  readonly info: (libraryId: string) => Promise<VerdantInfo | undefined>
  /**
   * Marks a replica as truant, so that the server stops waiting for it. Unless it has everything when it comes back, it is
   * reset. Returns false when there is no such replica, or it is truant already.
   */
  readonly forceTruant: (libraryId: string, replicaId: string) => Promise<boolean>
  /**
   * A Verdant document with its objects, lists and files (`{id, name, type, url}`, or null) in place of references, as the log
   * holds it now; `undefined`: there is none. Private documents are included. Rejects with `DocumentTooLarge`.
   */
  readonly documentSnapshot: (libraryId: string, collection: string, documentId: string) => Promise<unknown>
  /**
   * Changes a Verdant document as a client would, and resolves once that is durable: connected clients are sent it at once, and
   * others when they come. `null` deletes the document. Resolves to false if the document was as the change wants it. Rejects
   * with `WriteRefused`, whose `message` says what to try, and with `TypeError` for a change that is malformed.
   *
   * ```ts
   * await sealog.update("groceries", "items", "apples", { set: { purchased: true }, remove: ["note"] })
   * ```
   */
  readonly update: (
    libraryId: string,
    collection: string,
    documentId: string,
    change: DocumentChange | null
  ) => Promise<boolean>
  /**
   * The changes of a library, in order and once each, from every process; without an end. With `after`, a version, it begins
   * with the change after it (0: the first), else with the next one. Ends at `close`, or when `signal` is aborted.
   *
   * Each change is durable. Record the last version that you have processed, and go on after it. A loop that is slow delays
   * nothing but itself.
   */
  readonly changes: (libraryId: string, options?: ChangesOptions<number>) => AsyncIterable<LibraryChange>
  /** The same for all libraries; `after` holds a version for each. A library that is not in it begins with its first change. */
  readonly allChanges: (options?: ChangesOptions<ReadonlyMap<string, number>>) => AsyncIterable<LibraryChange>

  /** A file that was uploaded; `undefined`: there is none. It applies no access rules. */
  readonly fileInfo: (libraryId: string, fileId: string) => Promise<FileInfo | undefined>
  /**
   * Stores a file as if a client had uploaded it: durably when it resolves. A file to which no document refers is deleted
   * after `verdant.keepFiles`. Rejects with `BlobTooLarge`, `FilesFull` (the quota), `AnothersFile`, `BlobStoreUnavailable`,
   * or `NoFileStore`.
   */
  readonly uploadFile: (libraryId: string, file: UploadedFile, bytes: Bytes) => Promise<FileInfo>

  /**
   * Serves a client on a transport of the app's own, such as WebTransport, with the same sessions, rights and revocations as a
   * WebSocket of `handlers`. The transport's limits, such as a heartbeat and slow clients, are the app's. Rejects with
   * `TokenRefused`, `GrantEnded` (revoked or suspended), `ClientRefused` or `AccessUndecided`.
   */
  readonly connect: (client: ClientOpening, transport: Transport) => Promise<Connected>
  /**
   * Handles the messages of one request of a Verdant client that polls, and resolves to the answers: `POST <path>/verdant`
   * without HTTP. Answer within three seconds: a client that waits longer never polls again. Rejects as `connect` does, and with
   * `TryAgainLater`. A client polls again at a status from 500 on, and at 401 with `{"code":4012}`, for which it asks the app for
   * another token. At any other refusal it polls no more until its page is opened again.
   */
  readonly answer: (client: ClientOpening, messages: ReadonlyArray<unknown>) => Promise<ReadonlyArray<unknown>>

  /**
   * Refuses new clients, answers what has come, and closes connections and storage: within about 15 seconds. Close the app's
   * server before, so that no request comes any more; calls of handlers are answered with 503 then.
   */
  readonly close: () => Promise<void>
}

export interface MintRequest {
  readonly userId: string
  readonly libraryId: string
  /** The URL at which Verdant's clients find the server: `https://HOST<path>/verdant`. */
  readonly endpoint?: string
  /** The URL at which they find files. Default: `/files` below `endpoint`. */
  readonly fileEndpoint?: string
  /** The app's own word for the user's rights, at most 200 characters. Changes carry it. */
  readonly role?: string
  /** Lets a backend of the app receive the changes of every user: `GET /changes`. Default: false. */
  readonly changes?: boolean
  /** Verdant's replica type. Default: `realtime`. */
  readonly type?: ReplicaTypeName
  /** The Secsync documents that the token reaches, at most 1,000. Default: all of the library. A Verdant client needs all. */
  readonly documents?: ReadonlyArray<string>
  /** The Secsync signing keys that the user may write with, at most 100. Default: any. */
  readonly signingKeys?: ReadonlyArray<string>
  /** Milliseconds, or a text such as `"1 hour"`. Default: 1 day. */
  readonly expiresIn?: Duration.Input
}

/** How a client presents itself: the URL and the headers with which it would open a WebSocket at `handlers`. */
export interface ClientOpening {
  /** Below the mount path: `/verdant`, or `/<document>?sessionKey=…` with Secsync's other parameters. */
  readonly url: string
  /** In lower case. A Verdant client's token is in `authorization`: `Bearer <token>`. */
  readonly headers?: Readonly<Record<string, string | Array<string> | undefined>>
}

export interface Connected {
  /** Handles a message. The next one may follow when it resolves; if it rejects, the connection must be closed. */
  readonly receive: (text: string) => Promise<void>
  /** The client has gone. */
  readonly close: () => Promise<void>
}

export interface DeletionTarget {
  readonly libraryId: string
  /** Only this Secsync document. Default: the library. */
  readonly documentId?: string
}

export interface AccessChanged {
  readonly libraryId?: string
  readonly userId?: string
  /** The claim `jti` of a token, or the id of a session. */
  readonly tokenId?: string
  readonly documentId?: string
}

export type Revoked =
  /** One token or session; for every library unless one is named. */
  | { readonly tokenId: string; readonly libraryId?: string }
  /** Every token or session of a user that began until now; for every library unless one is named. */
  | { readonly userId: string; readonly libraryId?: string }
  /** Every token or session of a library that began until now. */
  | { readonly libraryId: string }

export interface ChangesOptions<After> {
  readonly after?: After
  readonly signal?: AbortSignal
}

export interface UploadedFile {
  /** 1 to 128 of A-Z, a-z, 0-9, _ and -. A file with the same id is replaced. */
  readonly id: string
  readonly name: string
  /** The media type. */
  readonly type: string
  /** The user who may replace it, and read it before a document refers to it. Default: every user of the library. */
  readonly userId?: string
}

/** Bytes, a `Blob` or `File`, or a stream of Node or of the web. */
export type Bytes = Uint8Array | Blob | AsyncIterable<Uint8Array>
