/** The file store in memory, for tests and trials. Its files end with the process. */
import { Clock, Effect, Layer, Stream } from "effect"
import { type BlobEntry, type BlobKey, BlobStore, measure } from "../ports/BlobStore.ts"

export const layerMemory: Layer.Layer<BlobStore> = Layer.sync(BlobStore, () => {
  const blobs = new Map<BlobKey, { readonly bytes: Uint8Array; readonly modifiedAt: number }>()
  const entries = (): ReadonlyArray<BlobEntry> =>
    Array.from(blobs, ([key, { bytes, modifiedAt }]) => ({ key, size: bytes.length, modifiedAt })).sort((a, b) =>
      a.key < b.key ? -1 : 1
    )
  return BlobStore.of({
    put: Effect.fnUntraced(function* (key, bytes, maxBytes) {
      const measured = measure(bytes, maxBytes)
      const chunks = yield* Stream.runCollect(measured.bytes)
      blobs.set(key, { bytes: Buffer.concat(chunks), modifiedAt: yield* Clock.currentTimeMillis })
      return measured.stored()
    }),
    get: (key, range) =>
      Effect.sync(() => {
        const bytes = blobs.get(key)?.bytes
        if (bytes === undefined) return undefined
        const part = range === undefined ? bytes : bytes.subarray(range.offset, range.offset + range.length)
        return { size: bytes.length, bytes: part.length === 0 ? Stream.empty : Stream.make(part) }
      }),
    stat: (key) =>
      Effect.sync(() => {
        const bytes = blobs.get(key)?.bytes
        return bytes === undefined ? undefined : { size: bytes.length }
      }),
    delete: (key) => Effect.sync(() => void blobs.delete(key)),
    list: Stream.suspend(() => Stream.fromArray(entries()))
  })
})
