/**
 * libsodium, which clients compute with: as machine code where it is prebuilt for the platform, several times as fast as
 * WebAssembly, which is everywhere.
 */
import { createRequire } from "node:module"
import wrappers from "libsodium-wrappers"

export interface Sodium {
  readonly verifyDetached: (signature: Uint8Array, message: Uint8Array, key: Uint8Array) => boolean
  /** BLAKE2b, 32 bytes, without a key. */
  readonly hash: (input: Uint8Array) => Uint8Array
}

// WebAssembly is usable only once compiled, so whoever imports this module can call it at once.
await wrappers.ready

const wasm: Sodium = {
  verifyDetached: wrappers.crypto_sign_verify_detached,
  hash: (input) => wrappers.crypto_generichash(HASH_BYTES, input, null)
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
      }
    }
  } catch {
    return undefined
  }
}

const HASH_BYTES = 32
const native = loadNative()

/** By the package that they come from, the fastest last. */
export const implementations: Readonly<Record<string, Sodium>> = {
  "libsodium-wrappers": wasm,
  ...(native === undefined ? {} : { "sodium-native": native })
}

export const sodium: Sodium = native ?? wasm
