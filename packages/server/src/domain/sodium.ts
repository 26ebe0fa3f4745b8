/**
 * libsodium, the library that clients use. It runs as machine code where the platform has a prebuilt one, which is several
 * times as fast as the WebAssembly that it runs as elsewhere.
 */
import { createRequire } from "node:module"

export interface Sodium {
  readonly verifyDetached: (signature: Uint8Array, message: Uint8Array, key: Uint8Array) => boolean
  /** BLAKE2b, 32 bytes, without a key. */
  readonly hash: (input: Uint8Array) => Uint8Array
  /** `hash` of bytes that come piece by piece. */
  readonly startHash: () => PartialHash
}

export interface PartialHash {
  readonly update: (piece: Uint8Array) => void
  /** Call once, at the end. */
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

const require = createRequire(import.meta.url)

const loadNative = (): Sodium | undefined => {
  try {
    const native = require("sodium-native")
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

/** Whether this platform loads the machine code, which takes a sixth of the time of the package around it. */
const isNativeLoadable = (): boolean => {
  try {
    require(`sodium-native/prebuilds/${process.platform}-${process.arch}/sodium-native.node`)
    // The package around it, and what that needs.
    createRequire(require.resolve("sodium-native")).resolve("require-addon")
    return true
  } catch {
    return false
  }
}

/** Loads the package at the first call: most commands of an operator hash nothing. */
const nativeWhenUsed = (): Sodium => {
  let native: Sodium | undefined
  const loaded = () => {
    native ??= loadNative()
    if (native === undefined)
      throw new Error("sodium-native cannot be loaded, though its machine code can. Install it again.")
    return native
  }
  return {
    verifyDetached: (signature, message, key) => loaded().verifyDetached(signature, message, key),
    hash: (input) => loaded().hash(input),
    startHash: () => loaded().startHash()
  }
}

// Awaited here, so that importers call it at once. WebAssembly is loaded only if it is used: it takes 6 MB a thread.
export const sodium: Sodium = isNativeLoadable() ? nativeWhenUsed() : (loadNative() ?? (await loadWasm()))

/** Every implementation on this platform by the package that it comes from, the fastest last. */
export const loadImplementations = async (): Promise<Readonly<Record<string, Sodium>>> => {
  const native = loadNative()
  return { "libsodium-wrappers": await loadWasm(), ...(native === undefined ? {} : { "sodium-native": native }) }
}
