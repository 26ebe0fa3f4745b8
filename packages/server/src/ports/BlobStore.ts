/**
 * Where the bytes of files are. A store keeps bytes under keys that we made; what a file is called, who may have it and
 * whether anybody still refers to it, it does not know. All implementations pass the suite in `@sealog/server/testing`.
 */
import { Context, Effect, Schema, type Scope, Stream } from "effect"
import { startBlake2b256 } from "../domain/Blake2b.ts"
import type { Hash } from "../domain/Ids.ts"

/**
 * A group (files that belong together) and a name in it. The shape is one that no file system or object store reads
 * anything into: exactly two segments, none of them `.` or `..`, nothing to be encoded.
 */
export const BlobKey = Schema.String.check(
  Schema.isPattern(/^[A-Za-z0-9_-]{1,64}\/[A-Za-z0-9_-][A-Za-z0-9._-]{0,127}$/)
).pipe(Schema.brand("BlobKey"))
export type BlobKey = typeof BlobKey.Type

/** What was stored. */
export interface Stored {
  readonly size: number
  readonly hash: Hash
}

export interface Blob {
  /** Of the whole, also when only a part is read. */
  readonly size: number
  readonly bytes: Stream.Stream<Uint8Array, BlobStoreUnavailable>
}

/** What is asked for of a blob; what lies past its end is not there. */
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

/** More came than was allowed; nothing was kept of it. */
export class BlobTooLarge extends Schema.TaggedError<BlobTooLarge>()("BlobTooLarge", { maxBytes: Schema.Finite }) {}

/** The store cannot be reached, is full or refuses us: the same call may succeed later. */
export class BlobStoreUnavailable extends Schema.TaggedError<BlobStoreUnavailable>()("BlobStoreUnavailable", {
  /** What was being done. */
  operation: Schema.String,
  cause: Schema.Defect()
}) {
  override get message(): string {
    return `The file store failed to ${this.operation}: ${this.cause instanceof Error ? this.cause.message : String(this.cause)}`
  }
}

export class BlobStore extends Context.Service<
  BlobStore,
  {
    /**
     * Stores a stream as it comes, durably when it returns. Until then nothing is to be seen under the key but what was
     * there before, and if the stream fails, is too long or is interrupted, that stays so.
     */
    readonly put: <E>(
      key: BlobKey,
      bytes: Stream.Stream<Uint8Array, E>,
      maxBytes: number
    ) => Effect.Effect<Stored, E | BlobTooLarge | BlobStoreUnavailable>

    /** A blob as it is now, readable for as long as the scope, even if it is replaced or deleted meanwhile. */
    readonly get: (
      key: BlobKey,
      range?: BlobRange
    ) => Effect.Effect<Blob | undefined, BlobStoreUnavailable, Scope.Scope>

    readonly stat: (key: BlobKey) => Effect.Effect<{ readonly size: number } | undefined, BlobStoreUnavailable>

    /** That it is gone when this returns; it need not have been there. */
    readonly delete: (key: BlobKey) => Effect.Effect<void, BlobStoreUnavailable>

    /** All blobs, those of a group one after another. */
    readonly list: Stream.Stream<BlobEntry, BlobStoreUnavailable>
  }
>()("@sealog/server/BlobStore") {}

/** Size and hash of what flows through, which fails as soon as it is too long. To be run once. */
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
      // Whatever came of it: WebAssembly's memory is given back by the digest alone.
      Stream.ensuring(
        Effect.sync(() => {
          digest = hash.digest()
        })
      )
    )
  })
  return { bytes: measured, stored: (): Stored => ({ size, hash: digest! }) }
}
