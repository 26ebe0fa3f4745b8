/**
 * libsodium, which clients compute with: as machine code where it is prebuilt for the platform, several times as fast as
 * WebAssembly, which is everywhere.
 */
import { createRequire } from "node:module"

export interface Sodium {
  readonly verifyDetached: (signature: Uint8Array, message: Uint8Array, key: Uint8Array) => boolean
  /** BLAKE2b, 32 bytes, without a key. */
  readonly hash: (input: Uint8Array) => Uint8Array
  /** The same, of what comes piece by piece. */
  readonly startHash: () => PartialHash
}

export interface PartialHash {
  readonly update: (piece: Uint8Array) => void
  /** Once, at the end. */
  readonly digest: () => Uint8Array
}

const HASH_BYTES = 32

/** WebAssembly is usable only once compiled. */
const loadWasm = async (): Promise<Sodium> => {
  const { default: wrappers } = await import("libsodium-wrappers")
  await wrappers.ready
  return {
    verifyDetached: wrappers.crypto_sign_verify_detached,
    hash: (input) => wrappers.crypto_generichash(HASH_BYTES, input, null),
    startHash: () => {
      const state = wrappers.crypto_generichash_init(null, HASH_BYTES)
      return {
        update: (piece) => wrappers.crypto_generichash_update(state, piece),
        digest: () => wrappers.crypto_generichash_final(state, HASH_BYTES)
      }
    }
  }
}

const loadNative = (): Sodium | undefined => {
  try {
    const native = createRequire(import.meta.url)("sodium-native")
    return {
      verifyDetached: native.crypto_sign_verify_detached,
      hash: (input) => {
        const digest = Buffer.allocUnsafe(HASH_BYTES)
        native.crypto_generichash(digest, input)
        return digest
      },
      startHash: () => {
        const state = Buffer.alloc(native.crypto_generichash_STATEBYTES)
        native.crypto_generichash_init(state, null, HASH_BYTES)
        return {
          update: (piece) => native.crypto_generichash_update(state, piece),
          digest: () => {
            const digest = Buffer.allocUnsafe(HASH_BYTES)
            native.crypto_generichash_final(state, digest)
            return digest
          }
        }
      }
    }
  } catch {
    return undefined
  }
}

const native = loadNative()

// Whoever imports this module can call it at once. Memory is taken by the one that is used: 6 MB a thread.
export const sodium: Sodium = native ?? (await loadWasm())

/** By the package that they come from, the fastest last. */
export const loadImplementations = async (): Promise<Readonly<Record<string, Sodium>>> => ({
  "libsodium-wrappers": await loadWasm(),
  ...(native === undefined ? {} : { "sodium-native": native })
})
