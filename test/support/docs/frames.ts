/**
 * The app around each TypeScript fragment of a page, by the fragment's place, in the order of the fragments there. A frame declares
 * the names that a reader has in an app of theirs; `FRAGMENT` stands for the block. A block without a frame is a whole module.
 */
const effect = `import { Effect, Layer, Redacted } from "effect"
import { Access, FileLinks, JwtAccess, Signals, SyncServer } from "@sealog/server"
import { SqliteStorage } from "@sealog/storage-sqlite"
`
const sealog = `import { memoryStorage, type Sealog, type SealogOptions } from "@sealog/server/node"
declare const sealog: Sealog
`

export const frames: Readonly<Record<string, ReadonlyArray<string>>> = {
  "README.md: Connect a Verdant client": [
    `import type { ServerSyncOptions } from "@verdant-web/store"
export const client: { sync: ServerSyncOptions } = {
FRAGMENT}`
  ],
  "docs/admin-api.md: In an app of your own": [
    `${effect}import { adminRoutes } from "@sealog/server/admin/api"
FRAGMENT`
  ],
  "docs/changes.md: Server-sent events": [
    `declare const token: string
declare const loadVersion: () => Promise<string | undefined>
declare const saveVersion: (version: string) => Promise<void>
declare const handle: (message: unknown) => Promise<void>
FRAGMENT`
  ],
  "docs/changes.md: Webhooks": [
    `declare const store: (id: string | ReadonlyArray<string> | undefined, message: unknown) => Promise<void>
FRAGMENT`
  ],
  "docs/embedding.md: In your app's server": [
    `import type { RequestListener } from "node:http"
declare const nameOf: (userId: string) => Promise<string>
declare const app: RequestListener
FRAGMENT`
  ],
  "docs/embedding.md: Sessions of your own": [
    `${sealog}declare const sessionOf: (cookie: unknown) => Promise<{ id: string; userId: string; expiresAt: Date } | undefined>
declare const isMember: (userId: string, libraryId: string) => Promise<boolean>
export const options: SealogOptions = {
  storage: memoryStorage(),
FRAGMENT}`
  ],
  "docs/embedding.md: Transports of your own": [
    `${sealog}declare const token: string
declare const channel: {
  send: (text: string) => void
  close: (code: number, reason: string) => void
  onmessage: (text: string) => void
  onclose: () => void
}
FRAGMENT`
  ],
  "docs/embedding.md: Rights of your own": [
    `${effect}import type { Action } from "@sealog/server"
declare const Members: { isAllowed: (userId: string, libraryId: string, action: Action) => Effect.Effect<boolean> }
FRAGMENT`,
    `${effect}import type { DocumentId, LibraryId } from "@sealog/server"
declare const userId: string
declare const libraryId: LibraryId
declare const documentId: DocumentId
declare const tokenId: string
export const changed = Effect.gen(function* () {
FRAGMENT})`
  ],
  "docs/embedding.md: Secsync's documents": [
    `${sealog}declare const isPaid: (userId: string | undefined) => Promise<boolean>
declare const notify: (libraryId: string, documentId: string, version: number) => Promise<void>
export const options: SealogOptions = {
  storage: memoryStorage(),
  access: { secret: "" },
FRAGMENT}`
  ],
  "docs/embedding.md: Writes": [
    `${sealog}declare const tags: ReadonlyArray<string>
FRAGMENT`
  ],
  "docs/embedding.md: Quotas": [`${effect}FRAGMENT`],
  "docs/embedding.md: Tokens": [
    `${effect}declare const linkSecret: string
FRAGMENT`
  ],
  "docs/scaling.md: Routing": [
    `${effect}import type { LibraryId } from "@sealog/server"
declare const access: Access["Service"]
declare const libraryId: LibraryId
declare const userId: string
FRAGMENT`
  ],
  "docs/storage.md: Use it": [
    `${effect}import { layer } from "./JournalEventLog.ts"
FRAGMENT`
  ]
}
