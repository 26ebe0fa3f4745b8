/**
 * The store of files' bytes, under keys that the server makes. A store knows neither the names of files, nor their users, nor
 * references to them. All implementations pass the suite in `@sealog/server/testing`.
 */
import { Context, Effect, Schema, type Scope, Stream } from "effect"
import { startBlake2b256 } from "../domain/Blake2b.ts"
import { errorText } from "../domain/errorText.ts"
import type { Hash } from "../domain/Ids.ts"

/**
 * A group of files that belong together, and a name in it. No file system or object store gives this shape a meaning: exactly two
 * segments, neither of them `.` or `..`, and no character that needs encoding.
 */
export const BlobKey = Schema.String.check(
  Schema.isPattern(/^[A-Za-z0-9_-]{1,64}\/[A-Za-z0-9_-][A-Za-z0-9._-]{0,127}$/)
).pipe(Schema.brand("BlobKey"))
export type BlobKey = typeof BlobKey.Type

/** The size and hash of a stored blob. */
export interface Stored {
  readonly size: number
  readonly hash: Hash
}

export interface Blob {
  /** The size of the whole blob, also when only a part is read. */
  readonly size: number
  readonly bytes: Stream.Stream<Uint8Array, BlobStoreUnavailable>
}

/** A part of a blob, cut off at the blob's end. */
export interface BlobRange {
  readonly offset: number
  readonly length: number
}

export interface BlobEntry {
  readonly key: BlobKey
  readonly size: number
  /** Milliseconds since 1970. */
  readonly modifiedAt: number
}

/** The stream was longer than allowed. Nothing of it was stored. */
export class BlobTooLarge extends Schema.TaggedError<BlobTooLarge>()("BlobTooLarge", { maxBytes: Schema.Finite }) {}

/** The store cannot be reached, is full or refuses the request. The same call may succeed later. */
export class BlobStoreUnavailable extends Schema.TaggedError<BlobStoreUnavailable>()("BlobStoreUnavailable", {
  /** The operation that failed, as a verb phrase. */
  operation: Schema.String,
  cause: Schema.Defect()
}) {
  override get message(): string {
    return `The file store failed to ${this.operation}: ${errorText(this.cause)}`
  }
}

export class BlobStore extends Context.Service<
  BlobStore,
  {
    /**
     * Stores a stream as it comes, durably when it returns. Until then, readers of the key see the previous blob or none. If the
     * stream fails, is too long or is interrupted, that stays so.
     */
    readonly put: <E>(
      key: BlobKey,
      bytes: Stream.Stream<Uint8Array, E>,
      maxBytes: number
    ) => Effect.Effect<Stored, E | BlobTooLarge | BlobStoreUnavailable>

    /** Opens a blob as it is now. It stays readable until the scope closes, or its stream fails if the blob is deleted. */
    readonly get: (
      key: BlobKey,
      range?: BlobRange
    ) => Effect.Effect<Blob | undefined, BlobStoreUnavailable, Scope.Scope>

    readonly stat: (key: BlobKey) => Effect.Effect<{ readonly size: number } | undefined, BlobStoreUnavailable>

    /** Deletes a blob. Succeeds if there is none. */
    readonly delete: (key: BlobKey) => Effect.Effect<void, BlobStoreUnavailable>

    /** All blobs, group by group. */
    readonly list: Stream.Stream<BlobEntry, BlobStoreUnavailable>
  }
>()("@sealog/server/BlobStore") {}

/** Measures a stream while it is read, once. `stored` returns its size and hash after the end; too long a stream fails. */
export const measure = <E>(bytes: Stream.Stream<Uint8Array, E>, maxBytes: number) => {
  let size = 0
  let digest: Hash | undefined
  const measured = Stream.suspend(() => {
    const hash = startBlake2b256()
    return bytes.pipe(
      Stream.mapEffect((chunk): Effect.Effect<Uint8Array, BlobTooLarge> => {
        size += chunk.length
        if (size > maxBytes) return Effect.fail(new BlobTooLarge({ maxBytes }))
        hash.update(chunk)
        return Effect.succeed(chunk)
      }),
      // Also after a failure: only `digest` frees WebAssembly's memory.
      Stream.ensuring(
        Effect.sync(() => {
          digest = hash.digest()
        })
      )
    )
  })
  return { bytes: measured, stored: (): Stored => ({ size, hash: digest! }) }
}
